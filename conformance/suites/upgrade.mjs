// Nothing is lost, doubled or reordered while a connection changes from polling to WebSocket.

import assert from 'node:assert/strict';
import { collect, next, pause } from '../harness/time.mjs';

const ROUNDS = 30;
const PACKETS = 200;

export default function upgrade(tests) {
  tests.add('the connection becomes a WebSocket', async (context) => {
    context.way = 'upgrade';
    const socket = context.client();
    await next(socket.io, 'open');
    assert.equal(socket.io.engine.transport.name, 'polling');
    const { id } = socket.io.engine;
    const connected = next(socket, 'connect');
    await next(socket.io.engine, 'upgrade');
    await connected;
    assert.equal(socket.io.engine.transport.name, 'websocket');
    assert.equal(socket.io.engine.id, id);
    assert.equal(await socket.emitWithAck('echo-ack', 1), 1);
    assert.equal((await context.server.stats()).sessions, 1);
  });

  tests.add('packets in flight in both directions', async (context) => {
    context.way = 'upgrade';
    for (let round = 0; round < ROUNDS; round += 1) {
      const socket = context.client();
      const numbers = sequence(PACKETS);
      const [up, down] = [collect(socket, 'echo', PACKETS), collect(socket, 'counted', PACKETS)];
      const upgraded = upgradeOf(socket);
      await next(socket, 'connect');
      socket.emit('count-slowly', PACKETS);
      for (const n of numbers) {
        socket.emit('echo', n);
        if (n % 5 === round % 5) {
          await pause(0);
        }
      }
      assert.deepEqual(await up, numbers, `up and back, round ${round}`);
      assert.deepEqual(await down, numbers, `down, round ${round}`);
      await upgraded;
      socket.disconnect();
    }
  }, { deadline: 120_000 });

  tests.add('binary packets in flight in both directions', async (context) => {
    context.way = 'upgrade';
    for (let round = 0; round < ROUNDS; round += 1) {
      const socket = context.client();
      const got = collect(socket, 'data', PACKETS);
      const upgraded = upgradeOf(socket);
      await next(socket, 'connect');
      for (const n of sequence(PACKETS)) {
        socket.emit('data', Buffer.from([n, n]), [Buffer.from('tail')], n);
        if (n % 7 === round % 7) {
          await pause(0);
        }
      }
      assert.deepEqual(await got, sequence(PACKETS).map((n) => Buffer.from([n, n])), `round ${round}`);
      await upgraded;
      socket.disconnect();
    }
  }, { deadline: 120_000 });

  tests.add('acknowledgements in flight', async (context) => {
    context.way = 'upgrade';
    for (let round = 0; round < ROUNDS; round += 1) {
      const socket = context.client();
      const upgraded = upgradeOf(socket);
      await next(socket, 'connect');
      const asked = [];
      for (const n of sequence(PACKETS)) {
        asked.push(socket.emitWithAck('echo-ack', n));
        if (n % 3 === round % 3) {
          await pause(0);
        }
      }
      assert.deepEqual(await Promise.all(asked), sequence(PACKETS), `round ${round}`);
      await upgraded;
      socket.disconnect();
    }
  }, { deadline: 120_000 });

  tests.add('broadcasts reach clients which are changing over', async (context) => {
    context.way = 'upgrade';
    const sender = await context.connected('/', { transports: ['websocket'] });
    for (let round = 0; round < 10; round += 1) {
      const sockets = await Promise.all(sequence(10).map(async () => {
        const socket = await context.connected();
        await socket.emitWithAck('join', ['all']);
        return socket;
      }));
      const got = sockets.map((socket) => collect(socket, 'tick', PACKETS));
      for (const n of sequence(PACKETS)) {
        sender.emit('aim', { to: ['all'] }, 'tick').emit('fire', n);
        if (n % 10 === 0) {
          await pause(0);
        }
      }
      (await Promise.all(got)).forEach((ticks) => assert.deepEqual(ticks, sequence(PACKETS), `round ${round}`));
      sockets.forEach((socket) => socket.disconnect());
    }
  }, { deadline: 120_000 });

  tests.add('many clients change over at once', async (context) => {
    context.way = 'upgrade';
    const sockets = sequence(100).map(() => context.client());
    await Promise.all(sockets.map(async (socket, i) => {
      const upgraded = upgradeOf(socket);
      await next(socket, 'connect', 20_000);
      const got = collect(socket, 'echo', 20);
      sequence(20).forEach((n) => socket.emit('echo', i * 100 + n));
      assert.deepEqual(await got, sequence(20).map((n) => i * 100 + n));
      await upgraded;
    }));
    assert.equal((await context.server.stats()).sessions, 100);
  });

  tests.add('a client may leave at any moment of it', async (context) => {
    context.way = 'upgrade';
    for (const delay of sequence(30)) {
      const socket = context.client();
      await next(socket, 'connect');
      socket.emit('count', 50);
      await pause(delay / 3);
      socket.disconnect();
    }
  });
}

function sequence(n) {
  return Array.from({ length: n }, (_, i) => i);
}

/** Resolves when the engine of a fresh client has changed over; fails if it will not. */
async function upgradeOf(socket) {
  if (!socket.io.engine) {
    await next(socket.io, 'open');
  }
  await next(socket.io.engine, 'upgrade', 20_000);
}
