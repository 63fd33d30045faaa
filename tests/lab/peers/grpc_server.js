// A gRPC backend over HTTP/2 in clear (prior knowledge): grpc_server.js HOST PORT. Every call gets one message.
"use strict";

const http2 = require("http2");

const [host, port] = process.argv.slice(2);
const server = http2.createServer();
server.on("stream", (stream) => {
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.on("error", () => {});
  stream.resume();
  stream.on("end", () => stream.end(Buffer.from([0, 0, 0, 0, 2, 0x68, 0x69])));
});
server.listen(Number(port), host, () => console.log("ready"));
