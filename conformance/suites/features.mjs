// What must be switched on: another parser, compression, recovery, namespaces on demand, JSONP.

import assert from 'node:assert/strict';
import { gunzipSync } from 'node:zlib';
import http from 'node:http';
import msgpack from 'socket.io-msgpack-parser';
import { Polling, request } from '../harness/raw.mjs';
import { collect, next, pause, until, within } from '../harness/time.mjs';
import { binary, plain } from '../harness/values.mjs';

export default function features(tests) {
  parser(tests);
  compression(tests);
  onDemand(tests);
  recovery(tests);
  jsonp(tests);
}

function parser(tests) {
  const server = { server: { parser: 'msgpack' } };
  const connected = (context, path, options) => context.connected(path, { parser: msgpack, ...options });

  tests.eachTransport('msgpack: values, binary data, acknowledgements', async (context) => {
    const socket = await connected(context);
    // The official parser takes 1e308 for an integer, drops `__proto__`, and writes UTF-8, which has no lone surrogates.
    const unfit = ['huge number', 'lone surrogate', 'object with odd keys'];
    const values = Object.entries(plain).filter(([name]) => !unfit.includes(name));
    for (const [name, args] of [...values.map(([name, value]) => [name, [value]]), ...Object.entries(binary).map(([name, [, back]]) => [name, back])]) {
      const back = next(socket, 'echo');
      socket.emit('echo', ...args);
      assert.deepEqual(await back, args, name);
      assert.deepEqual(await replies(socket, args), args, `${name}, acknowledged`);
    }
  }, server);

  tests.eachTransport('msgpack: the server asks', async (context) => {
    const socket = await connected(context);
    socket.on('question', (what, ack) => ack([what, Buffer.from('x')]));
    const answer = next(socket, 'answer');
    socket.emit('ask', 'why');
    assert.deepEqual(await answer, [['why', Buffer.from('x')]]);
  }, server);

  tests.eachTransport('msgpack: rooms, namespaces, refusals, disconnects', async (context) => {
    const [a, b] = [await connected(context), await connected(context)];
    await b.emitWithAck('join', ['red']);
    const news = next(b, 'news');
    a.emit('aim', { to: ['red'] }, 'news').emit('fire', 1, Buffer.from('2'));
    assert.deepEqual(await news, [1, Buffer.from('2')]);
    const custom = await connected(context, '/auth', { auth: { token: 'secret' } });
    assert.equal((await custom.emitWithAck('who')).namespace, '/auth');
    const [error] = await next(context.client('/auth', { parser: msgpack, auth: { token: 'no' } }), 'connect_error');
    assert.deepEqual([error.message, error.data], ['not authorized', { reason: 'bad token', got: 'no' }]);
    const [unknown] = await next(context.client('/unknown', { parser: msgpack }), 'connect_error');
    assert.equal(unknown.message, 'Invalid namespace');
    const gone = next(b, 'disconnect');
    b.emit('disconnect-me', false);
    assert.equal((await gone)[0], 'io server disconnect');
  }, server);
}

function compression(tests) {
  for (const deflate of ['true', 'takeover']) {
    tests.add(`permessage-deflate: ${deflate === 'true' ? 'each message by itself' : 'with what went before'}`, compressed, { server: { deflate } });
  }

  async function compressed(context) {
    const sockets = await context.all(3);
    assert.match(sockets[0].io.engine.transport.ws.extensions, /permessage-deflate/);
    const long = 'all work and no play '.repeat(5_000);
    for (const value of [long, { long }, Buffer.from(long), 'short', '']) {
      const back = next(sockets[0], 'echo');
      sockets[0].emit('echo', value);
      assert.deepEqual(await back, [value]);
      const all = sockets.map((socket) => next(socket, 'news'));
      sockets[0].emit('aim', {}, 'news').emit('fire', value, 1);
      assert.deepEqual(await Promise.all(all), sockets.map(() => [value, 1]));
    }
  }

  tests.add('permessage-deflate is up to the client', async (context) => {
    const [plainly, compressed] = [await context.connected('/', { perMessageDeflate: false }), await context.connected()];
    assert.equal(plainly.io.engine.transport.ws.extensions, '');
    const long = 'x'.repeat(100_000);
    const got = Promise.all([next(plainly, 'news'), next(compressed, 'news')]);
    plainly.emit('aim', {}, 'news').emit('fire', long);
    assert.deepEqual(await got, [[long], [long]]);
  }, { server: { deflate: true } });

  tests.add('a long polling body is compressed for those who accept it', async ({ server }) => {
    const polling = await Polling.joined(server);
    await polling.post('42["make",50000]');
    const [encoding, body] = await new Promise((resolve, reject) => {
      const path = `/socket.io/?${new URLSearchParams(polling.query)}`;
      http.get({ host: '127.0.0.1', port: server.port, path, headers: { 'accept-encoding': 'gzip' } }, (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk)).on('end', () => resolve([response.headers['content-encoding'], Buffer.concat(chunks)]));
      }).on('error', reject);
    });
    assert.equal(encoding, 'gzip');
    assert.equal(gunzipSync(body).toString(), `42["made","${'x'.repeat(50_000)}"]`);
    await polling.post('1');
  });
}

function onDemand(tests) {
  tests.eachTransport('namespaces on demand', async (context) => {
    const [a1, a2, b] = [await context.connected('/room-a'), await context.connected('/room-a'), await context.connected('/room-b')];
    assert.deepEqual([(await a1.emitWithAck('who')).namespace, (await b.emitWithAck('who')).namespace], ['/room-a', '/room-b']);
    const strangers = [];
    b.on('told', (...args) => strangers.push(args));
    const told = Promise.all([next(a1, 'told'), next(a2, 'told')]);
    a1.emit('tell', 1, Buffer.from('2'));
    assert.deepEqual(await told, [[1, Buffer.from('2')], [1, Buffer.from('2')]]);
    await b.emitWithAck('who');
    assert.deepEqual(strangers, []);
    const [error] = await next(context.client('/room-'), 'connect_error');
    assert.equal(error.message, 'Invalid namespace');
    [a1, a2, b].forEach((socket) => socket.disconnect());
    await until(async () => (await context.server.stats()).children === 0, 'empty namespaces to be freed');
  });
}

function recovery(tests) {
  const options = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100 };
  const server = { server: { recovery: 5_000 } };

  /** Cuts the connection without a goodbye; the client will come back by itself. */
  const cut = async (socket) => {
    const gone = next(socket, 'disconnect');
    socket.io.engine.close();
    await gone;
  };

  tests.eachTransport('recovery: what was missed arrives once, in order, with rooms and data', async (context) => {
    const socket = await context.connected('/', options);
    const sender = await context.connected();
    await socket.emitWithAck('join', ['red']);
    await socket.emitWithAck('name', 'Ada');
    // An event must have been received: its offset is what the client comes back with.
    const first = next(socket, 'tick');
    sender.emit('aim', { to: ['red'] }, 'tick').emit('fire', 0);
    await first;
    const id = socket.id;
    for (let round = 0; round < 3; round += 1) {
      const got = collect(socket, 'tick', 5);
      const back = next(socket, 'connect');
      await cut(socket);
      for (let n = 0; n < 5; n += 1) {
        sender.emit('fire', round * 10 + n);
      }
      sender.emit('aim', { to: ['blue'] }, 'tick').emit('fire', 'not for this one').emit('aim', { to: ['red'] }, 'tick');
      await sender.emitWithAck('rooms');
      await back;
      assert.equal(socket.recovered, true);
      assert.equal(socket.id, id);
      assert.deepEqual(await got, [0, 1, 2, 3, 4].map((n) => round * 10 + n));
      assert.deepEqual(await socket.emitWithAck('recovered'), { recovered: true, rooms: ['red'], name: 'Ada' });
    }
    const after = next(socket, 'tick');
    sender.emit('fire', 'after');
    assert.equal((await after)[0], 'after');
  }, server);

  tests.add('recovery: a client that has received nothing', async (context) => {
    if (context.server.isReference) {
      return; // Without an event there is no offset to come back with.
    }
    const [socket, sender] = [await context.connected('/', options), await context.connected()];
    const { id } = socket;
    const [got, back] = [next(socket, 'tick'), next(socket, 'connect')];
    await cut(socket);
    sender.emit('aim', {}, 'tick').emit('fire', 'missed');
    await back;
    assert.deepEqual([(await got)[0], socket.recovered, socket.id], ['missed', true, id]);
  }, server);

  tests.add('recovery: who is let in no more gets nothing', async (context) => {
    const [socket, sender] = [
      await context.connected('/auth', { ...options, auth: { token: 'secret' } }),
      await context.connected('/auth', { auth: { token: 'secret' } }),
    ];
    const first = next(socket, 'tick');
    sender.emit('aim', {}, 'tick').emit('fire', 'first');
    await first;
    const seen = [];
    socket.on('tick', (value) => seen.push(value));
    socket.auth = { token: 'revoked' };
    const refused = next(socket, 'connect_error');
    await cut(socket);
    sender.emit('fire', 'secret');
    await sender.emitWithAck('rooms');
    assert.equal((await refused)[0].message, 'not authorized');
    assert.deepEqual(seen, []);
  }, server);

  tests.add('recovery: binary data', async (context) => {
    const [socket, sender] = [await context.connected('/', options), await context.connected()];
    const first = next(socket, 'tick');
    sender.emit('aim', {}, 'tick').emit('fire', 'first');
    await first;
    const [got, back] = [next(socket, 'tick'), next(socket, 'connect')];
    await cut(socket);
    sender.emit('fire', Buffer.from([1, 2]), [Buffer.from('3')]);
    await back;
    assert.deepEqual((await got).slice(0, 2), [Buffer.from([1, 2]), [Buffer.from('3')]]);
    assert.equal(socket.recovered, true);
  }, server);

  tests.eachTransport('recovery: state of which only the newest matters says nothing of how far one has come', async (context) => {
    const [socket, sender] = [await context.connected('/', options), await context.connected()];
    const first = next(socket, 'tick');
    sender.emit('aim', {}, 'tick').emit('fire', 'first');
    await first;
    const state = next(socket, 'state');
    socket.emit('state', 'text at the end');
    assert.equal((await state)[0], 'text at the end');
    const seen = [];
    socket.on('tick', (value) => seen.push(value));
    const back = next(socket, 'connect');
    await cut(socket);
    sender.emit('fire', 'missed');
    await back;
    assert.equal(socket.recovered, true);
    sender.emit('fire', 'last');
    await until(() => seen.includes('last'));
    assert.deepEqual(seen, ['missed', 'last']);
  }, server);

  tests.add('recovery: who comes too late is new', async (context) => {
    const socket = await context.connected('/', { ...options, reconnectionDelay: 700, reconnectionDelayMax: 800, randomizationFactor: 0 });
    const sender = await context.connected();
    const first = next(socket, 'tick');
    sender.emit('aim', {}, 'tick').emit('fire', 'first');
    await first;
    const id = socket.id;
    const back = next(socket, 'connect');
    await cut(socket);
    await back;
    assert.equal(socket.recovered, false);
    assert.notEqual(socket.id, id);
  }, { server: { recovery: 200 } });

  tests.add('recovery: who said goodbye is new', async (context) => {
    const [socket, sender] = [await context.connected('/', options), await context.connected()];
    const first = next(socket, 'tick');
    sender.emit('aim', {}, 'tick').emit('fire', 'first');
    await first;
    const id = socket.id;
    socket.disconnect();
    await pause(50);
    const back = next(socket, 'connect');
    socket.connect();
    await back;
    assert.deepEqual([socket.recovered, socket.id === id], [false, false]);
  }, server);

  tests.eachTransport('recovery: a question has its callback where listeners expect it', async (context) => {
    const socket = await context.connected('/', options);
    await socket.emitWithAck('join', ['red']);
    socket.on('question', (what, ack) => ack(`${what}!`));
    const answer = next(socket, 'answer');
    socket.emit('ask', 'why');
    assert.equal((await answer)[0], 'why!');
    const asked = new Promise((resolve) => {
      socket.emit('send-ack', { to: ['red'] }, 5_000, 'question', 'who', (...reply) => resolve(reply));
    });
    assert.deepEqual(await within(5_000, asked, 'the answers of the room'), [false, ['who!']]);
  }, server);

  tests.add('recovery: a made-up claim is ignored', async (context) => {
    const socket = await context.connected('/', { auth: { pid: 'AAAAAAAAAAAAAAAAAAAA', offset: 'x' } });
    assert.equal((await socket.emitWithAck('recovered')).recovered, false);
  }, server);
}

function jsonp(tests) {
  tests.add('JSONP, where it is allowed', async ({ server }) => {
    const query = { EIO: '4', transport: 'polling', j: '7' };
    const opened = await request(server, { query });
    const { sid } = JSON.parse(JSON.parse(/^___eio\[7\]\((".*")\);$/s.exec(opened.body)[1]).slice(1));
    const post = (packets) => request(server, {
      method: 'POST', query: { ...query, sid }, body: `d=${encodeURIComponent(packets)}`, headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    assert.equal((await post('40')).body, 'ok');
    assert.match((await request(server, { query: { ...query, sid } })).body, /^___eio\[7\]\("40\{\\"sid\\":\\"[\w-]{20,22}\\"\}"\);$/);
    await post('42["echo","\u2028é"]');
    assert.equal((await request(server, { query: { ...query, sid } })).body, '___eio[7]("42[\\"echo\\",\\"\\u2028é\\"]");');
    await post('1');
  }, { server: { allowJsonp: true } });
}

function replies(socket, args) {
  return new Promise((resolve) => socket.emit('echo-ack', ...args, (...values) => resolve(values)));
}
