// Events and acknowledgements in both directions, with every kind of argument.

import assert from 'node:assert/strict';
import { next } from '../harness/time.mjs';
import { binary, changed, plain } from '../harness/values.mjs';

export default function events(tests) {
  tests.eachTransport('plain values come back as they went', async (context) => {
    const socket = await context.connected();
    for (const [name, value] of Object.entries(plain)) {
      assert.deepEqual(await echo(socket, [value]), [value], name);
      assert.deepEqual(await socket.emitWithAck('echo-ack', value), value, `${name}, acknowledged`);
    }
  });

  tests.eachTransport('values without JSON come back as JSON has them', async (context) => {
    const socket = await context.connected();
    for (const [name, [value, back]] of Object.entries(changed)) {
      assert.deepEqual(await echo(socket, [value]), [back], name);
    }
  });

  tests.eachTransport('binary data is kept wherever it is', async (context) => {
    const socket = await context.connected();
    for (const [name, [args, back]] of Object.entries(binary)) {
      assert.deepEqual(await echo(socket, args), back, name);
      assert.deepEqual(await replies(socket, args), back, `${name}, acknowledged`);
    }
  });

  tests.eachTransport('any number of arguments', async (context) => {
    const socket = await context.connected();
    for (const args of [[], [1], [1, '2'], [1, '2', [3]], Array.from({ length: 100 }, (_, i) => i)]) {
      assert.deepEqual(await echo(socket, args), args);
      assert.deepEqual(await replies(socket, args), args);
    }
  });

  tests.eachTransport('the server asks and the client answers', async (context) => {
    const socket = await context.connected();
    socket.on('question', (...args) => args.pop()({ got: args }));
    for (const args of [[], [1, { a: 'é' }], [Buffer.from([1, 2]), [Buffer.from([3])]]]) {
      const answer = next(socket, 'answer');
      socket.emit('ask', ...args);
      assert.deepEqual(await answer, [{ got: args }]);
    }
  });

  tests.eachTransport('the server asks and the client answers with binary data', async (context) => {
    const socket = await context.connected();
    socket.on('question', (ack) => ack(Buffer.from('binary answer')));
    const answer = next(socket, 'answer');
    socket.emit('ask');
    assert.deepEqual(await answer, [Buffer.from('binary answer')]);
  });

  tests.eachTransport('a question without an answer times out on the server', async (context) => {
    const socket = await context.connected();
    const late = next(socket, 'no answer');
    let acknowledge;
    socket.on('question', (ack) => { acknowledge = ack; });
    socket.emit('ask-briefly');
    await late;
    acknowledge('too late');
    assert.deepEqual(await echo(socket, ['still here']), ['still here']);
  });

  tests.eachTransport('an event without an answer times out on the client', async (context) => {
    const socket = await context.connected();
    await assert.rejects(socket.timeout(100).emitWithAck('count', 0), /timed out/);
  });

  tests.eachTransport('many questions at once are answered each by its own', async (context) => {
    const socket = await context.connected();
    const asked = Array.from({ length: 500 }, (_, i) => i);
    assert.deepEqual(await Promise.all(asked.map((i) => socket.emitWithAck('echo-ack', i))), asked);
  });

  tests.eachTransport('event names which need escaping, and names without a handler', async (context) => {
    const socket = await context.connected();
    const names = ['with "quotes"', 'back\\slash', 'new\nline', 'tab\t', '\u0000', 'é', '😀', '', ' ', '2', '[', ']', '{"a":1}', '/', ',', '51-', 'constructor', 'message', 'ping', 'a'.repeat(10_000)];
    for (const name of names) {
      const back = next(socket, name);
      socket.emit(name, name, Buffer.from(name));
      assert.deepEqual(await back, [name, Buffer.from(name)], JSON.stringify(name));
    }
  });

  tests.eachTransport('handlers run in the order of arrival', async (context) => {
    const socket = await context.connected();
    const sent = Array.from({ length: 1_000 }, (_, i) => i);
    sent.forEach((i) => socket.emit(['number-a', 'number-b', 'number-c'][i % 3], i));
    assert.deepEqual(await socket.emitWithAck('numbers'), sent);
  });

  tests.eachTransport('events emitted before and between acknowledgements keep their order', async (context) => {
    const socket = await context.connected();
    const seen = [];
    socket.on('echo', (value) => seen.push(value));
    socket.emit('echo', 1);
    socket.emit('echo-ack', 2, (value) => seen.push(value));
    socket.emit('echo', 3);
    socket.emit('echo-ack', 4, (value) => seen.push(value));
    await socket.emitWithAck('rooms');
    assert.deepEqual(seen, [1, 2, 3, 4]);
  });

  tests.eachTransport('events emitted before the connection are sent after it', async (context) => {
    const socket = context.client();
    const back = Promise.all([next(socket, 'early'), next(socket, 'binary')]);
    socket.emit('early', 1);
    socket.emit('binary', Buffer.from([1]));
    assert.deepEqual(await back, [[1], [Buffer.from([1])]]);
  });

  tests.eachTransport('a client sends as much as the server allows', async (context) => {
    const socket = await context.connected();
    // 900,000 bytes of base64 and 999,000 characters: both under the limit of 1,000,000 bytes in every encoding.
    assert.equal(await socket.emitWithAck('size-binary', Buffer.alloc(675_000)), 675_000);
    assert.equal(await socket.emitWithAck('size', 'x'.repeat(999_000)), 999_000);
    assert.equal(await socket.emitWithAck('size', '€'.repeat(330_000)), 330_000);
  });

  tests.eachTransport('the server may send more than it takes', async (context) => {
    const socket = await context.connected();
    const text = next(socket, 'made');
    socket.emit('make', 3_000_000);
    assert.equal((await text)[0].length, 3_000_000);
    const data = next(socket, 'made');
    socket.emit('make-binary', 3_000_000);
    assert.deepEqual((await data)[0], Buffer.alloc(3_000_000, 7));
  });

  tests.eachTransport('a volatile event reaches a client that listens', async (context) => {
    const socket = await context.connected();
    const got = next(socket, 'counted all');
    socket.on('counted', () => {});
    socket.emit('count-volatile', 3);
    await got;
  });

  tests.add('every volatile event reaches an idle WebSocket', async (context) => {
    const socket = await context.connected();
    const counted = [];
    socket.on('counted', (n) => counted.push(n));
    const all = next(socket, 'counted all');
    socket.emit('count-volatile', 1);
    await all;
    assert.deepEqual(counted, [0]);
  });
}

async function echo(socket, args) {
  const back = next(socket, 'echo');
  socket.emit('echo', ...args);
  return back;
}

/** All values of an acknowledgement; `emitWithAck` gives only the first. */
function replies(socket, args) {
  return new Promise((resolve) => socket.emit('echo-ack', ...args, (...values) => resolve(values)));
}
