// node js.mjs <package> [json|msgpack]: an official server for the client to talk to. Says its port when it listens.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const [, , name, form] = process.argv;
const loaded = require(name);
const Server = loaded.Server ?? loaded;
const options = { pingInterval: 1000, pingTimeout: 3000 };
if (form === 'msgpack') {
  options.parser = require('socket.io-msgpack-parser');
}
if (name === 'socket.io') {
  options.connectionStateRecovery = { maxDisconnectionDuration: 60_000, skipMiddlewares: false };
}
const http = createServer();
const io = new Server(http, options);

io.on('connection', (socket) => {
  socket.on('echo', (...args) => args.pop()(...args));
  socket.on('bounce', (...args) => socket.emit('bounced', ...args));
  socket.on('ask', (...args) => socket.emit('question', ...args, (...answer) => socket.emit('answered', ...answer)));
  socket.on('burst', (count) => {
    for (let n = 0; n < count; n++) {
      socket.emit('n', n);
    }
  });
  socket.on('leave', () => socket.disconnect());
  socket.on('miss', () => {
    socket.join('room');
    io.to('room').emit('missed', 0);
    setTimeout(() => io.to('room').emit('missed', 1), 1000);
  });
});

const known = io.of('/private');
known.use((socket, next) => {
  const given = socket.handshake.auth ?? socket.handshake.query;
  if (given.token === 'right') {
    return next();
  }
  const error = new Error('wrong token');
  error.data = { code: 7 };
  next(error);
});
known.on('connection', (socket) => {
  socket.on('where', (answer) => answer(socket.nsp.name, socket.handshake.query.lang, socket.handshake.headers['x-app']));
});

http.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => console.log(http.address().port));
