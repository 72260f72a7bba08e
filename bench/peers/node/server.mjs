// The official server with the events of the bench, written as its documentation writes them.
import { createServer } from "node:http";
import { Server } from "socket.io";

const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv[at + 1];
};

const http = createServer();
const io = new Server(http, process.argv.includes("--deflate") ? { perMessageDeflate: true } : {});

io.on("connection", (socket) => {
  socket.on("echo", (data) => socket.emit("echo", data));
  socket.on("binary", (data) => socket.emit("binary", data));
  socket.on("ack", (data, reply) => reply(data));
  socket.on("broadcast", (data) => io.emit("broadcast", data));
  socket.on("join", (rooms, reply) => {
    socket.join(rooms);
    reply();
  });
  socket.on("room", (room, data) => io.to(room).emit("room", data));
});

http.listen(Number(option("port", "0")), "127.0.0.1", 4096);
