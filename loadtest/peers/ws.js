// A room server on `ws`, the usual WebSocket package for Node.
"use strict";

const { WebSocketServer } = require("ws");

const [host, port] = (process.argv[2] || "").split(":");
if (!port) {
  console.error("usage: node ws.js 127.0.0.1:9000");
  process.exit(2);
}

const rooms = new Map();
const server = new WebSocketServer({ host, port: Number(port), backlog: 4096, clientTracking: false, perMessageDeflate: false });

server.on("connection", (socket, request) => {
  const members = rooms.get(request.url) || new Set();
  rooms.set(request.url, members);
  members.add(socket);
  socket.on("message", (data, isBinary) => {
    if (isBinary) return;
    const options = { binary: false };
    for (const member of members) member.send(data, options);
  });
  socket.on("close", () => members.delete(socket));
  // The close that follows is all that matters.
  socket.on("error", () => {});
});
