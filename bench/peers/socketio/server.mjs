// Channels as rooms of Socket.IO, with its recovery of what a client missed.
//
// A client names its room in the handshake (`?channel=NAME`); POST /publish?channel=NAME with a JSON event publishes.
import { createServer } from "node:http";
import { Server } from "socket.io";

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
  io.to(url.searchParams.get("channel")).emit("event", await read(request));
  response.writeHead(204).end();
});

const io = new Server(server, { serveClient: false, connectionStateRecovery: {} });

io.on("connection", (socket) => {
  // A recovered socket is in its rooms already.
  if (!socket.recovered) socket.join(socket.handshake.query.channel);
});

server.listen(Number(process.argv[2]), "127.0.0.1");
