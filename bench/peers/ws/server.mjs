// Channels over plain WebSockets, as one writes them with `ws`: a set of sockets per channel.
//
// ws://…/?channel=NAME reads; POST /publish?channel=NAME with a JSON event publishes.
import { createServer } from "node:http";
import { WebSocket, WebSocketServer } from "ws";

const channels = new Map();

async function read(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString());
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  if (request.method !== "POST" || url.pathname !== "/publish") {
    response.writeHead(404).end();
    return;
  }
  const text = JSON.stringify(await read(request));
  for (const socket of channels.get(url.searchParams.get("channel")) ?? []) {
    if (socket.readyState === WebSocket.OPEN) socket.send(text);
  }
  response.writeHead(204).end();
});

const sockets = new WebSocketServer({ server });

sockets.on("connection", (socket, request) => {
  const name = new URL(request.url, "http://localhost").searchParams.get("channel");
  if (!channels.has(name)) channels.set(name, new Set());
  channels.get(name).add(socket);
  socket.isAlive = true;
  socket.on("pong", () => (socket.isAlive = true));
  socket.on("error", () => socket.terminate());
  socket.on("close", () => {
    const readers = channels.get(name);
    readers.delete(socket);
    if (readers.size === 0) channels.delete(name);
  });
});

// As the readme of ws proposes, to find broken connections.
setInterval(() => {
  for (const socket of sockets.clients) {
    if (!socket.isAlive) {
      socket.terminate();
      continue;
    }
    socket.isAlive = false;
    socket.ping();
  }
}, 30_000);

server.listen(Number(process.argv[2]), "127.0.0.1");
