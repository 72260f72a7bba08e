// The handlers of the server under test, written for the official server.
//
// Options: --name value for each key of `defaults`. Prints `listening <port>`; then every line on standard input is an
// order: `stats` prints a JSON line of what is held, `close` shuts down, the end of input ends the process.

import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Server } from 'socket.io';
import msgpack from 'socket.io-msgpack-parser';

const defaults = {
  port: '0',
  'ping-interval': '25000',
  'ping-timeout': '20000',
  'connect-timeout': '45000',
  'upgrade-timeout': '10000',
  'max-payload': '1000000',
  transports: 'polling,websocket',
  'allow-eio3': 'false',
  'allow-jsonp': 'true', // it always does
  parser: 'json',
  deflate: 'false',
  recovery: '0', // milliseconds
  'allow-upgrades': 'true',
  cookie: '',
  headers: 'false',
  ids: '',
  key: '',
  origin: '',
  path: '/socket.io',
  'serve-client': '',
  'trust-proxy': '', // it believes none
  'proxy-header': '',
  'proxy-protocol': 'false',
};

const { values: options } = parseArgs({
  options: Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, { type: 'string', default: value }])),
});

const http = createServer((_request, response) => response.writeHead(404).end());
const io = new Server(http, {
  pingInterval: Number(options['ping-interval']),
  pingTimeout: Number(options['ping-timeout']),
  connectTimeout: Number(options['connect-timeout']),
  upgradeTimeout: Number(options['upgrade-timeout']),
  maxHttpBufferSize: Number(options['max-payload']),
  transports: options.transports.split(','),
  allowEIO3: options['allow-eio3'] === 'true',
  serveClient: options['serve-client'] !== '',
  allowUpgrades: options['allow-upgrades'] === 'true',
  path: options.path,
  addTrailingSlash: options.path === '/socket.io', // without it, both forms are answered
  ...(options.cookie && { cookie: { name: options.cookie, httpOnly: true, path: '/', sameSite: 'lax' } }),
  ...(options.origin && { cors: { origin: [options.origin], credentials: true } }),
  ...(options.key && { allowRequest: (request, decide) => decide('no key', request.headers['x-key'] === options.key) }),
  cleanupEmptyChildNamespaces: true,
  perMessageDeflate: options.deflate !== 'false' && { threshold: 1024, serverNoContextTakeover: options.deflate === 'true' },
  ...(options.parser === 'msgpack' && { parser: msgpack }),
  ...(options.recovery !== '0' && { connectionStateRecovery: { maxDisconnectionDuration: Number(options.recovery), skipMiddlewares: false } }),
});

/** Code and message of each request that was refused. */
const refused = [];
io.engine.on('connection_error', ({ code, message }) => refused.push([code, message]));

if (options.ids) {
  let next = 1;
  io.engine.generateId = () => `${options.ids}${next++}`;
}
if (options.headers === 'true') {
  io.engine.on('initial_headers', (headers) => { headers['x-first'] = 'first'; });
  io.engine.on('headers', (headers) => { headers['x-each'] = 'each'; });
}

/** Why each socket left, and the rooms it was in at that moment. */
const left = new Map();

for (const path of ['/', '/custom', '/auth']) {
  handle(io.of(path));
}
io.of('/auth').use((socket, next) => {
  if (socket.handshake.auth.token === 'secret') {
    return next();
  }
  const refusal = new Error('not authorized');
  refusal.data = { reason: 'bad token', got: socket.handshake.auth.token ?? null };
  next(refusal);
});

// Namespaces on demand.
io.of(/^\/room-[^/]+$/).on('connection', onDemand);
io.of((name, auth, decide) => decide(null, name.startsWith('/team-') && auth?.token === 'secret')).on('connection', onDemand);

const roomEvents = [];
for (const [event, name] of [['create', 'create-room'], ['delete', 'delete-room'], ['join', 'join-room'], ['leave', 'leave-room']]) {
  // Each socket has a room of its own, which is of no interest here.
  io.of('/custom').adapter.on(name, (room, ...rest) => /^[\w-]{20,22}$/.test(room) || roomEvents.push([event, room, ...rest]));
}

function onDemand(socket) {
  socket.on('echo', (...args) => socket.emit('echo', ...args));
  socket.on('who', (ack) => ack({ id: socket.id, namespace: socket.nsp.name, auth: socket.handshake.auth, query: socket.handshake.query.tag ?? null }));
  socket.on('tell', (...args) => { socket.broadcast.emit('told', ...args); socket.emit('told', ...args); });
}

function handle(namespace) {
  namespace.on('connection', (socket) => {
    const numbers = [];
    let aim;
    const known = new Set();
    const on = (event, handler) => {
      known.add(event);
      socket.on(event, handler);
    };
    const ownRooms = (of) => [...of.rooms].filter((room) => room !== of.id).sort();

    on('echo', (...args) => socket.emit('echo', ...args));
    on('echo-ack', (...args) => args.pop()(...args));
    on('who', (ack) => ack({ id: socket.id, namespace: socket.nsp.name, auth: socket.handshake.auth, query: socket.handshake.query.tag ?? null }));
    on('address', (ack) => ack(socket.handshake.address));
    for (const [event, timeout] of [['ask', 5_000], ['ask-briefly', 50]]) {
      on(event, (...args) => {
        socket.timeout(timeout).emitWithAck('question', ...args)
          .then((reply) => socket.emit('answer', reply), () => socket.emit('no answer'));
      });
    }

    on('join', (rooms, ack) => { socket.join(rooms); ack(); });
    on('leave', (room, ack) => { socket.leave(room); ack(); });
    on('rooms', (ack) => ack(ownRooms(socket)));
    on('aim', (where, event) => { aim = [where, event]; });
    on('fire', (...args) => target(aim[0]).emit(aim[1], ...args));
    on('send-ack', (where, timeout, event, arg, ack) => {
      const answer = (error, replies) => ack(error !== null, [...replies].sort());
      target(where).timeout(timeout).emit(event, arg, answer);
    });
    on('fetch', async (where, ack) => {
      const sockets = await target(where).fetchSockets();
      ack(sockets.map((other) => ({ id: other.id, rooms: ownRooms(other), name: other.data.name ?? null })).sort((a, b) => (a.id < b.id ? -1 : 1)));
    });
    on('all-join', (where, rooms, ack) => { target(where).socketsJoin(rooms); ack(); });
    on('all-leave', (where, rooms, ack) => { target(where).socketsLeave(rooms); ack(); });
    on('all-disconnect', (where, close) => target(where).disconnectSockets(close));
    on('name', (name, ack) => { socket.data.name = name; ack(); });

    on('disconnect-me', (close) => socket.disconnect(close));
    on('emit-and-disconnect-me', (close) => { socket.emit('last words', 1); socket.disconnect(close); });
    on('left', (id, ack) => ack(left.get(id) ?? null));

    on('count', (n) => {
      for (let i = 0; i < n; i += 1) {
        socket.emit('counted', i);
      }
    });
    on('count-slowly', async (n) => {
      for (let i = 0; i < n; i += 1) {
        socket.emit('counted', i);
        if (i % 3 === 0) {
          await new Promise(setImmediate);
        }
      }
    });
    on('count-volatile', (n) => {
      for (let i = 0; i < n; i += 1) {
        socket.volatile.emit('counted', i);
      }
      socket.emit('counted all');
    });
    for (const event of ['number-a', 'number-b', 'number-c']) {
      on(event, (n) => numbers.push(n));
    }
    on('state', (text) => socket.emit('state', text)); // it has nothing that replaces what waits
    on('recovered', (ack) => ack({ recovered: socket.recovered, rooms: ownRooms(socket), name: socket.data.name ?? null }));
    on('numbers', (ack) => ack(numbers));
    on('size', (text, ack) => ack(text.length));
    on('size-binary', (data, ack) => ack(data.length));
    on('make', (length) => socket.emit('made', 'x'.repeat(length)));
    on('make-binary', (length) => socket.emit('made', Buffer.alloc(length, 7)));

    const watched = [];
    on('watch', (ack) => { socket.onAnyOutgoing((name) => watched.push(name)); ack(); });
    on('watched', (ack) => ack([...watched]));
    const heard = (which) => () => socket.emit('heard', which);
    const first = heard('first');
    let listened;
    on('listen', (name, ack) => {
      listened = name;
      on(name, first);
      on(name, heard('second'));
      known.add(name);
      socket.once(name, heard('once'));
      ack();
    });
    on('unlisten', (ack) => { socket.off(listened, first); ack(); });
    on('refused', (ack) => ack(refused));
    on('room-events', (ack) => ack(roomEvents.splice(0)));
    if (namespace.name === '/custom') {
      socket.use(([event], decide) => decide(event === 'forbidden' ? new Error('forbidden') : undefined));
      socket.on('error', () => {}); // or it would be thrown
      known.add('forbidden');
    }

    // Whatever has no handler comes back under its own name.
    socket.onAny((event, ...args) => {
      if (!known.has(event)) {
        socket.emit(event, ...args);
      }
    });
    socket.on('disconnecting', (reason) => left.set(socket.id, { reason, rooms: ownRooms(socket) }));

    function target({ by = 'server', to = [], except = [], volatile = false, local = false }) {
      let chosen = by === 'socket' ? socket.broadcast : namespace;
      chosen = to.length > 0 ? chosen.to(to) : chosen;
      chosen = except.length > 0 ? chosen.except(except) : chosen;
      chosen = volatile ? chosen.volatile : chosen;
      return local ? chosen.local : chosen;
    }
  });
}

function stats() {
  const namespaces = [...io._nsps.values()];
  const sum = (number) => namespaces.reduce((total, namespace) => total + number(namespace), 0);
  return { sessions: io.engine.clientsCount, sockets: sum((n) => n.sockets.size), rooms: sum((n) => n.adapter.rooms.size), children: namespaces.length - 3 };
}

createInterface({ input: process.stdin })
  .on('line', (order) => {
    if (order === 'stats') {
      console.log(JSON.stringify(stats()));
    } else if (order === 'close') {
      io.close(() => process.exit(0));
    }
  })
  .on('close', () => process.exit(0));

http.listen(Number(options.port), '127.0.0.1', () => console.log(`listening ${http.address().port}`));
