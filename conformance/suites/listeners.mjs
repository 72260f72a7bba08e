// What the server registers for events of clients, of rooms, and its own; namespaces by function.

import assert from 'node:assert/strict';
import { next, until } from '../harness/time.mjs';

export default function listeners(tests) {
  tests.eachTransport('several listeners of one socket, one of them once, one removed', async (context) => {
    const [socket, other] = await context.all(2);
    const heard = async (of, name) => {
      const seen = [];
      of.on('heard', (which) => seen.push(which));
      of.emit(name);
      await of.emitWithAck('rooms');
      of.off('heard');
      return seen;
    };
    await socket.emitWithAck('listen', 'special');
    assert.deepEqual(await heard(socket, 'special'), ['first', 'second', 'once']);
    assert.deepEqual(await heard(socket, 'special'), ['first', 'second']);
    assert.deepEqual(await heard(other, 'special'), [], 'they are of one socket');
    await socket.emitWithAck('unlisten');
    assert.deepEqual(await heard(socket, 'special'), ['second']);
  });

  tests.eachTransport('what is sent to a socket can be watched', async (context) => {
    const [socket, other] = await context.all(2);
    socket.emit('echo', 'before');
    await socket.emitWithAck('watch');
    socket.emit('echo', 1);
    await next(socket, 'echo');
    const news = next(socket, 'news');
    other.emit('aim', { to: [socket.id] }, 'news').emit('fire', 2);
    await news;
    const watched = await socket.emitWithAck('watched');
    assert.deepEqual(watched, ['echo', 'news']);
  });

  tests.eachTransport('a filter drops events, and the client is not told', async (context) => {
    const socket = await context.connected('/custom');
    const seen = [];
    socket.onAny((event) => seen.push(event));
    socket.emit('forbidden', 1).emit('allowed', 2);
    await next(socket, 'allowed');
    assert.deepEqual(seen, ['allowed']);
    await assert.rejects(socket.timeout(100).emitWithAck('forbidden'), /timed out/);
  });

  tests.eachTransport('rooms that come and go are told', async (context) => {
    const [a, b] = await context.all(2, '/custom');
    await a.emitWithAck('room-events');
    await a.emitWithAck('join', ['red']);
    await b.emitWithAck('join', ['red', 'blue']);
    await a.emitWithAck('leave', 'red');
    const id = b.id;
    b.disconnect();
    const seen = [];
    await until(async () => seen.push(...await a.emitWithAck('room-events')) && seen.length >= 9, 'the events');
    const early = [['create', 'red'], ['join', 'red', a.id], ['join', 'red', id], ['create', 'blue'], ['join', 'blue', id], ['leave', 'red', a.id]];
    assert.deepEqual(seen.slice(0, 6), early);
    const late = [['leave', 'red', id], ['delete', 'red'], ['leave', 'blue', id], ['delete', 'blue']];
    assert.deepEqual(seen.slice(6).map(String).sort(), late.map(String).sort());
  }, { server: {} });

  tests.eachTransport('namespaces by function', async (context) => {
    const [a1, a2] = await context.all(2, '/team-a', { auth: { token: 'secret' } });
    const told = next(a2, 'told');
    a1.emit('tell', 'hello');
    assert.deepEqual(await told, ['hello']);
    const [error] = await next(context.client('/team-b', { auth: { token: 'wrong' } }), 'connect_error');
    assert.equal(error.message, 'Invalid namespace');
  });
}
