// A backend on node's http server with `ws` on it: ws_server.js HOST PORT JSON (or: unix PATH JSON)
//
// Ordinary requests: / answers 200, /events is an event stream, /poll answers late, POST echoes the size.
// Settings: plain (status of ordinary requests; default 200), path (of the WebSocket), subprotocols (list),
// deflate (true, or the options of `ws`), token (required as ?token=), do: echo (default) | silent | terminate | close (code, reason), when: open | message.
"use strict";
const http = require("http");
const { WebSocketServer } = require("ws");
const [host, port, json] = process.argv.slice(2);
const setting = JSON.parse(json);

const server = http.createServer((request, response) => {
  if (request.url.startsWith("/events")) {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    let count = 0;
    const timer = setInterval(() => {
      response.write(`data: ${count}\n\n`);
      if (++count === 3) { clearInterval(timer); response.end(); }
    }, 100);
    return;
  }
  if (request.url.startsWith("/poll")) {
    setTimeout(() => response.end("news\n"), 500);
    return;
  }
  let size = 0;
  request.on("data", (chunk) => { size += chunk.length; });
  request.on("end", () => {
    const headers = { "Content-Type": "text/plain" };
    if (setting.plain === 426) { headers.Upgrade = "websocket"; headers["Sec-WebSocket-Version"] = "13"; }
    response.writeHead(setting.plain || 200, headers);
    response.end(size ? `got ${size} bytes\n` : "hello\n");
  });
});
server.keepAliveTimeout = setting.keepalive || 60000;

const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: setting.deflate || false,
  handleProtocols: (offered) => (setting.subprotocols || []).find((name) => offered.has(name)) || false });

function refuse(socket, status, text, headers = "") {
  socket.end(`HTTP/1.1 ${status} ${text}\r\nConnection: close\r\n${headers}Content-Length: ${text.length}\r\n\r\n${text}`);
}

server.on("upgrade", (request, socket, head) => {
  const url = new URL(request.url, "http://backend");
  if ((request.headers.upgrade || "").toLowerCase() !== "websocket") return refuse(socket, 400, "Bad Request");
  if (setting.path && url.pathname !== setting.path) return refuse(socket, 404, "Not Found");
  if (setting.token && url.searchParams.get("token") !== setting.token) {
    return refuse(socket, 401, "Unauthorized", "WWW-Authenticate: Bearer\r\n");
  }
  sockets.handleUpgrade(request, socket, head, (ws) => {
    const act = () => {
      if (setting.do === "terminate") ws.terminate();
      else if (setting.do === "close") ws.close(setting.code, setting.reason || "");
    };
    if (setting.when === "open") act();
    ws.on("message", (data, binary) => {
      if (setting.when === "message") act();
      else if (setting.do !== "silent") ws.send(data, { binary });
    });
    ws.on("close", (code) => console.log(`closed ${code}`));
    ws.on("error", (error) => console.log(`error ${error.code || ""} ${error.message}`));
  });
});
server.listen(host === "unix" ? port : { port: Number(port), host }, () => console.log("ready"));
