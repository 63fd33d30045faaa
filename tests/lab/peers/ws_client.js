// A client on `ws`: ws_client.js URL JSON; prints what it saw as one JSON line.
//
// Settings: headers, origin, subprotocols, deflate (true, or the options of `ws`), ca (file), ciphers, steps: ["send", TEXT], ["recv"], ["sleep", S],
// ["close", CODE, REASON], ["terminate"], ["wait_closed"]; times: how often to do all this, each time resuming the TLS session before it.
"use strict";
const fs = require("fs");
const tls = require("tls");
const WebSocket = require("ws");
const [url, json] = process.argv.slice(2);
const setting = JSON.parse(json);
const saw = { status: null, close_code: null, error: null, messages: 0, resumed: 0 };

const options = { headers: setting.headers || {}, origin: setting.origin, perMessageDeflate: setting.deflate || false,
  rejectUnauthorized: Boolean(setting.ca), handshakeTimeout: 8000 };
if (setting.ciphers) options.ciphers = setting.ciphers;
if (setting.ca && setting.ca !== "system") options.ca = fs.readFileSync(setting.ca);
let session = null;
if (setting.times) {
  options.createConnection = (told) => {
    const socket = tls.connect({ ...told, path: undefined, servername: setting.sni || "lab.example", session });
    socket.on("session", (ticket) => { session = ticket; });
    socket.on("secureConnect", () => { saw.resumed += socket.isSessionReused() ? 1 : 0; });
    return socket;
  };
}

let printed = false;
function finish() {
  if (printed) return;
  printed = true;
  console.log(JSON.stringify(saw));
  process.exit(0);
}

async function visit() {
  const inbox = [];
  let wake = () => {};
  const ws = new WebSocket(url, setting.subprotocols || [], options);
  const closed = new Promise((resolve) => ws.on("close", (code, reason) => {
    if (saw.status === 101) { saw.close_code = code; saw.close_reason = reason.toString(); }
    wake();
    resolve();
  }));
  ws.on("message", (data) => { inbox.push(data); wake(); });
  ws.on("upgrade", (response) => { saw.status = response.statusCode; });
  ws.on("unexpected-response", (_request, response) => {
    saw.status = response.statusCode;
    response.resume();
    response.on("end", finish);
  });
  ws.on("error", (error) => { saw.error = error.message; });
  const opened = new Promise((resolve) => ws.on("open", () => resolve(true)));
  if (!await Promise.race([opened, closed])) return;
  for (const [what, ...args] of setting.steps || []) {
    if (what === "send") ws.send(args[0]);
    else if (what === "recv") {
      while (!inbox.length && ws.readyState === WebSocket.OPEN) await new Promise((resolve) => { wake = resolve; });
      if (inbox.length) { saw.messages += 1; saw.last = inbox.shift().toString().slice(0, 80); }
    } else if (what === "sleep") await new Promise((resolve) => setTimeout(resolve, args[0] * 1000));
    else if (what === "close") { ws.close(...args); await closed; }
    else if (what === "terminate") { ws.terminate(); await closed; }
    else if (what === "wait_closed") await closed;
  }
  await closed;
}

async function play() {
  for (let count = 0; count < (setting.times || 1); count += 1) await visit();
}
play().then(finish);
