// Many clients at once: each receives exactly what is meant for it, in order.

import assert from 'node:assert/strict';
import { collect } from '../harness/time.mjs';

const CLIENTS = 200;
const ROOMS = 10;
const ROUNDS = 25;

export default function load(tests) {
  tests.eachTransport('200 clients in overlapping rooms', async (context) => {
    const sockets = await context.all(CLIENTS);
    const memberships = sockets.map((_, i) => Array.from({ length: ROOMS }, (_, room) => room).filter((room) => i % (room + 2) === 0));
    await Promise.all(sockets.map((socket, i) => socket.emitWithAck('join', memberships[i].map((room) => `room ${room}`))));

    const received = sockets.map((socket) => {
      const got = [];
      socket.on('tick', (room, round) => got.push(`${room}.${round}`));
      return got;
    });
    const finished = sockets.map((socket) => collect(socket, 'end', 1, 30_000));
    const sender = sockets[0];
    for (let round = 0; round < ROUNDS; round += 1) {
      for (let room = 0; room < ROOMS; room += 1) {
        sender.emit('aim', { to: [`room ${room}`] }, 'tick').emit('fire', room, round);
      }
    }
    sender.emit('aim', {}, 'end').emit('fire', true);
    await Promise.all(finished);

    received.forEach((got, i) => {
      const wanted = Array.from({ length: ROUNDS }, (_, round) => memberships[i].map((room) => `${room}.${round}`)).flat();
      assert.deepEqual(got, wanted, `client ${i}`);
    });
  }, { deadline: 60_000 });

  tests.eachTransport('one message to overlapping rooms reaches each client once', async (context) => {
    const sockets = await context.all(50);
    await Promise.all(sockets.map((socket, i) => socket.emitWithAck('join', ['all', `${i % 2}`, `${i % 3}`])));
    const counts = sockets.map((socket) => {
      const count = { once: 0 };
      socket.on('once', () => { count.once += 1; });
      return count;
    });
    sockets[0].emit('aim', { to: ['all', '0', '1', '2', sockets[7].id] }, 'once').emit('fire');
    await sockets[0].emitWithAck('rooms');
    await Promise.all(sockets.map((socket) => socket.emitWithAck('rooms')));
    assert.deepEqual(counts, sockets.map(() => ({ once: 1 })));
  });

  tests.eachTransport('everyone talks at once', async (context) => {
    const sockets = await context.all(40);
    const expected = 40 * 20;
    const got = sockets.map((socket) => {
      const from = new Map();
      const all = collect(socket, 'said', expected, 30_000);
      socket.on('said', ([who, n]) => {
        assert.equal(n, from.get(who) ?? 0, 'in the order of its sender');
        from.set(who, n + 1);
      });
      return all;
    });
    sockets.forEach((socket, who) => {
      for (let n = 0; n < 20; n += 1) {
        socket.emit('aim', {}, 'said').emit('fire', [who, n]);
      }
    });
    await Promise.all(got);
  }, { deadline: 60_000 });

  tests.add('thousands of messages to one client stay in order', async (context) => {
    const socket = await context.connected();
    const got = collect(socket, 'counted', 20_000, 30_000);
    socket.emit('count', 20_000);
    assert.deepEqual(await got, Array.from({ length: 20_000 }, (_, i) => i));
  });
}
