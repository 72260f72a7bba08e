// Older official clients. 4.x and 3.x speak the same protocol as today's; 2.x speaks EIO=3, which the server must allow.

import assert from 'node:assert/strict';
import { io as connect44 } from 'socket.io-client-4.4';
import { io as connect40 } from 'socket.io-client-4.0';
import { io as connect3 } from 'socket.io-client-3';
import connect2 from 'socket.io-client-2';
import { page } from '../harness/page.mjs';
import { next } from '../harness/time.mjs';
import { binary, plain } from '../harness/values.mjs';

const clients = {
  '4.4': [connect44, {}],
  '4.0': [connect40, {}],
  '3.1': [connect3, {}],
  '2.5': [connect2, { server: { allowEio3: true } }],
};

export default function oldClients(tests) {
  for (const [version, [connect, options]] of Object.entries(clients)) {
    const isOld = version === '2.5';

    tests.eachTransport(`${version}: values and acknowledgements`, async (context) => {
      const socket = await context.connected('/', {}, connect);
      for (const [name, value] of Object.entries(plain)) {
        if (isOld && name === 'lone surrogate') {
          continue; // Its own UTF-8 encoder replaces it.
        }
        assert.deepEqual(await ask(socket, 'echo-ack', value), [value], name);
        const back = next(socket, 'echo');
        socket.emit('echo', 1, value);
        assert.deepEqual(await back, [1, value], name);
      }
    }, options);

    tests.eachTransport(`${version}: binary data`, async (context) => {
      const socket = await context.connected('/', {}, connect);
      for (const [name, [args, back]] of Object.entries(binary)) {
        // To 2.x a typed array other than Buffer is an object with numbered keys.
        if (!isOld || !['typed array', 'view into a larger buffer', 'floats'].includes(name)) {
          assert.deepEqual(await ask(socket, 'echo-ack', ...args), back, name);
        }
      }
    }, options);

    tests.eachTransport(`${version}: the server asks`, async (context) => {
      const socket = await context.connected('/', {}, connect);
      socket.on('question', (what, ack) => ack({ what, data: Buffer.from('x') }));
      const answer = next(socket, 'answer');
      socket.emit('ask', 'why');
      assert.deepEqual(await answer, [{ what: 'why', data: Buffer.from('x') }]);
    }, options);

    tests.eachTransport(`${version}: rooms and broadcasts`, async (context) => {
      const [a, b] = [await context.connected('/', {}, connect), await context.connected()];
      await ask(a, 'join', ['red']);
      await b.emitWithAck('join', ['red']);
      const got = Promise.all([next(a, 'news'), next(b, 'news')]);
      a.emit('aim', { to: ['red'] }, 'news').emit('fire', Buffer.from('é'), '€');
      assert.deepEqual(await got, [[Buffer.from('é'), '€'], [Buffer.from('é'), '€']]);
    }, options);

    tests.eachTransport(`${version}: namespaces`, async (context) => {
      const socket = await context.connected('/custom', {}, connect);
      const [who] = await ask(socket, 'who');
      assert.equal(who.namespace, '/custom');
      assert.equal(who.id, socket.id);
    }, options);

    tests.eachTransport(`${version}: a refusal`, async (context) => {
      const socket = context.client('/auth', isOld ? {} : { auth: { token: 'wrong' } }, connect);
      const [error] = await next(socket, isOld ? 'error' : 'connect_error');
      // 2.x is told the data alone.
      assert.deepEqual(isOld ? error : error.data, { reason: 'bad token', got: isOld ? null : 'wrong' });
    }, options);

    tests.eachTransport(`${version}: an unknown namespace`, async (context) => {
      const socket = context.client('/unknown', {}, connect);
      const [error] = await next(socket, isOld ? 'error' : 'connect_error');
      assert.equal(error.message, 'Invalid namespace');
    }, options);

    tests.eachTransport(`${version}: disconnects`, async (context) => {
      const [first, second] = [await context.connected('/', {}, connect), await context.connected('/', {}, connect)];
      const gone = next(first, 'disconnect');
      first.emit('disconnect-me', false);
      assert.equal((await gone)[0], 'io server disconnect');
      const id = second.id;
      second.disconnect();
      assert.equal((await context.farewell(id)).reason, 'client namespace disconnect');
    }, options);

    tests.eachTransport(`${version}: heartbeats`, async (context) => {
      const socket = await context.connected('/', {}, connect);
      await new Promise((resolve) => setTimeout(resolve, 900));
      assert.deepEqual(await ask(socket, 'echo-ack', 'still here'), ['still here']);
    }, { server: { ...options.server, pingInterval: 150, pingTimeout: 250 } });

    tests.add(`${version}: packets in flight during the upgrade`, async (context) => {
      context.way = 'upgrade';
      for (let round = 0; round < 10; round += 1) {
        const socket = await context.connected('/', {}, connect);
        const got = [];
        const all = new Promise((resolve) => socket.on('echo', (n) => got.push(n) === 100 && resolve()));
        for (let n = 0; n < 100; n += 1) {
          socket.emit('echo', n);
          if (n % 5 === round % 5) {
            await new Promise(setImmediate);
          }
        }
        await all;
        assert.deepEqual(got, Array.from({ length: 100 }, (_, n) => n));
        socket.disconnect();
      }
    }, options);
  }

  tests.eachTransport('2.5: the query of a namespace is its auth', async (context) => {
    const admitted = await context.connected('/auth?token=secret', {}, connect2);
    const [who] = await ask(admitted, 'who');
    assert.deepEqual([who.namespace, { ...who.auth }], ['/auth', { token: 'secret' }]);
    const refused = context.client('/auth?token=no', {}, connect2);
    assert.deepEqual(await next(refused, 'error'), [{ reason: 'bad token', got: 'no' }]);
  }, { server: { allowEio3: true } });

  for (const [version, connect] of [['3.1', connect3], ['2.5', connect2]]) {
    tests.add(`${version}: JSONP`, async (context) => {
      context.atEnd(page());
      const socket = await context.connected('/', { transports: ['polling'], forceJSONP: true }, connect);
      for (const [name, value] of Object.entries(plain)) {
        if (name !== 'lone surrogate') { // It is lost in the form.
          assert.deepEqual(await ask(socket, 'echo-ack', value), [value], name);
        }
      }
      assert.deepEqual(await ask(socket, 'echo-ack', Buffer.from([0, 255]), { deep: [Buffer.from('x')] }), [Buffer.from([0, 255]), { deep: [Buffer.from('x')] }]);
      socket.on('question', (what, ack) => ack({ what }));
      const answer = next(socket, 'answer');
      socket.emit('ask', 'why');
      assert.deepEqual(await answer, [{ what: 'why' }]);
    }, { server: { allowEio3: true, allowJsonp: true } });
  }

  tests.eachTransport('today\'s client is not disturbed by old ones', async (context) => {
    const old = await context.connected('/', {}, connect2);
    const today = await context.connected();
    const got = next(old, 'news');
    today.emit('aim', { by: 'socket' }, 'news').emit('fire', { a: Buffer.from('1') });
    assert.deepEqual(await got, [{ a: Buffer.from('1') }]);
  }, { server: { allowEio3: true } });

  tests.add('a 2.x client is refused unless it is allowed', async (context) => {
    const socket = context.client('/', {}, connect2);
    await next(socket, 'connect_error');
    assert.equal((await context.server.stats()).sessions, 0);
  });
}

function ask(socket, event, ...args) {
  return new Promise((resolve) => socket.emit(event, ...args, (...values) => resolve(values)));
}
