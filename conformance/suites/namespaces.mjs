// Namespaces: admission, refusal, auth, several on one connection.

import assert from 'node:assert/strict';
import { Manager } from 'socket.io-client';
import { transports } from '../harness/suite.mjs';
import { next, until } from '../harness/time.mjs';

export default function namespaces(tests) {
  tests.eachTransport('auth and query reach the server', async (context) => {
    const auth = { text: 'é', list: [1, { a: null }], empty: {} };
    const socket = await context.connected('/', { auth, query: { tag: 'a b&c=ü' } });
    assert.deepEqual(await socket.emitWithAck('who'), { id: socket.id, namespace: '/', auth, query: 'a b&c=ü' });
  });

  tests.eachTransport('without auth and query the server sees none', async (context) => {
    const socket = await context.connected('/custom');
    assert.deepEqual(await socket.emitWithAck('who'), { id: socket.id, namespace: '/custom', auth: {}, query: null });
  });

  tests.eachTransport('auth given by a function', async (context) => {
    const socket = await context.connected('/auth', { auth: (give) => setTimeout(give, 1, { token: 'secret' }) });
    assert.equal((await socket.emitWithAck('who')).auth.token, 'secret');
  });

  tests.eachTransport('a refusal carries its message and data', async (context) => {
    const socket = context.client('/auth', { auth: { token: 'wrong' } });
    const [error] = await next(socket, 'connect_error');
    assert.equal(error.message, 'not authorized');
    assert.deepEqual(error.data, { reason: 'bad token', got: 'wrong' });
    assert.equal(socket.connected, false);
  });

  tests.eachTransport('after a refusal the same socket may try again', async (context) => {
    const socket = context.client('/auth');
    const [error] = await next(socket, 'connect_error');
    assert.deepEqual(error.data, { reason: 'bad token', got: null });
    socket.auth = { token: 'secret' };
    socket.connect();
    await next(socket, 'connect');
    assert.equal(await socket.emitWithAck('echo-ack', 1), 1);
  });

  tests.eachTransport('an unknown namespace is refused', async (context) => {
    const socket = context.client('/unknown');
    const [error] = await next(socket, 'connect_error');
    assert.equal(error.message, 'Invalid namespace');
    assert.equal(error.data, undefined);
  });

  tests.eachTransport('several namespaces share one connection', async (context) => {
    const manager = open(context);
    const sockets = ['/', '/custom', '/auth'].map((path) => manager.socket(path, { auth: { token: 'secret' } }));
    await Promise.all(sockets.map((socket) => next(socket, 'connect')));
    assert.equal(new Set(sockets.map((socket) => socket.id)).size, 3, 'an id for each namespace');
    assert.ok(sockets.every((socket) => socket.id !== manager.engine.id), 'no id is that of the session');
    const seen = sockets.map((socket) => {
      const got = [];
      socket.onAny((event) => got.push(event));
      return got;
    });
    await Promise.all(sockets.map(async (socket, i) => {
      assert.equal(await socket.emitWithAck('echo-ack', i), i);
      socket.emit('echo', Buffer.from([i]));
      assert.deepEqual(await next(socket, 'echo'), [Buffer.from([i])]);
    }));
    assert.deepEqual(seen, [['echo'], ['echo'], ['echo']]);
    assert.equal((await context.server.stats()).sessions, 1);
  });

  tests.eachTransport('a refusal in one namespace leaves the others alone', async (context) => {
    const manager = open(context);
    const good = manager.socket('/');
    const bad = manager.socket('/auth');
    const unknown = manager.socket('/unknown');
    await Promise.all([next(good, 'connect'), next(bad, 'connect_error'), next(unknown, 'connect_error')]);
    assert.equal(await good.emitWithAck('echo-ack', 'fine'), 'fine');
  });

  tests.eachTransport('leaving one namespace keeps the others', async (context) => {
    const manager = open(context);
    const [stays, leaves] = [manager.socket('/'), manager.socket('/custom')];
    await Promise.all([next(stays, 'connect'), next(leaves, 'connect')]);
    const id = leaves.id;
    leaves.disconnect();
    assert.deepEqual((await context.farewell(id)).reason, 'client namespace disconnect');
    assert.equal(await stays.emitWithAck('echo-ack', 1), 1);
    leaves.connect();
    await next(leaves, 'connect');
    assert.notEqual(leaves.id, id);
    assert.equal(await leaves.emitWithAck('echo-ack', 2), 2);
  });

  tests.eachTransport('the server ends one namespace and keeps the others', async (context) => {
    const manager = open(context);
    const [stays, leaves] = [manager.socket('/'), manager.socket('/custom')];
    await Promise.all([next(stays, 'connect'), next(leaves, 'connect')]);
    const gone = next(leaves, 'disconnect');
    leaves.emit('disconnect-me', false);
    assert.equal((await gone)[0], 'io server disconnect');
    assert.equal(await stays.emitWithAck('echo-ack', 1), 1);
  });

  tests.eachTransport('leaving and joining again in one breath', async (context) => {
    if (context.server.isReference) {
      return; // It closes the connection: the second CONNECT is looked at before the DISCONNECT is carried out.
    }
    const manager = open(context);
    const [stays, leaves] = [manager.socket('/'), manager.socket('/custom')];
    await Promise.all([next(stays, 'connect'), next(leaves, 'connect')]);
    for (let round = 0; round < 20; round += 1) {
      leaves.disconnect().connect();
      await next(leaves, 'connect');
      assert.equal(await leaves.emitWithAck('echo-ack', round), round);
    }
    assert.equal(await stays.emitWithAck('echo-ack', 'untouched'), 'untouched');
  });

  tests.eachTransport('connecting and leaving many times leaves nothing behind', async (context) => {
    const manager = open(context);
    const stays = manager.socket('/');
    await next(stays, 'connect');
    const custom = manager.socket('/custom');
    await next(custom, 'connect');
    for (let round = 0; round < 50; round += 1) {
      custom.emit('join', ['room'], () => {});
      custom.disconnect();
      await stays.emitWithAck('echo-ack', round);
      custom.connect();
      await next(custom, 'connect');
    }
    custom.disconnect();
    await stays.emitWithAck('echo-ack', 1);
    await until(async () => (await context.server.stats()).sockets === 1, 'one socket');
  });
}

function open(context) {
  const manager = new Manager(context.server.url, { transports: transports[context.way], reconnection: false });
  context.atEnd(() => manager._close());
  return manager;
}
