// How connections end, on both sides, and how clients come back.

import assert from 'node:assert/strict';
import { Polling, Raw } from '../harness/raw.mjs';
import { next, pause, within } from '../harness/time.mjs';

export default function lifecycle(tests) {
  tests.eachTransport('the client disconnects', async (context) => {
    const socket = await context.connected();
    const [id, gone] = [socket.id, next(socket, 'disconnect')];
    socket.disconnect();
    assert.equal((await gone)[0], 'io client disconnect');
    assert.equal((await context.farewell(id)).reason, 'client namespace disconnect');
  });

  for (const close of [false, true]) {
    tests.eachTransport(`the server disconnects the socket${close ? ' and the connection' : ''}`, async (context) => {
      const socket = await context.connected();
      const [id, gone] = [socket.id, next(socket, 'disconnect')];
      await socket.emitWithAck('join', ['red']);
      socket.emit('disconnect-me', close);
      assert.equal((await gone)[0], 'io server disconnect');
      assert.deepEqual(await context.farewell(id), { reason: 'server namespace disconnect', rooms: ['red'] });
    });

    tests.eachTransport(`what is emitted before a disconnect arrives${close ? ', also when the connection ends' : ''}`, async (context) => {
      const socket = await context.connected();
      const seen = [];
      socket.onAny((event) => seen.push(event));
      const gone = next(socket, 'disconnect');
      socket.emit('emit-and-disconnect-me', close);
      assert.equal((await gone)[0], 'io server disconnect');
      assert.deepEqual(seen, ['last words']);
    });
  }

  tests.eachTransport('the client closes the engine', async (context) => {
    const socket = await context.connected();
    const [id, gone] = [socket.id, next(socket, 'disconnect')];
    await settled(context, socket);
    socket.io.engine.close();
    assert.equal((await gone)[0], 'forced close');
    assert.equal((await context.farewell(id)).reason, 'transport close');
  });

  tests.add('the connection is cut', async (context) => {
    const socket = await context.connected();
    const [id, gone] = [socket.id, next(socket, 'disconnect')];
    socket.io.engine.transport.ws.terminate();
    assert.equal((await gone)[0], 'transport close');
    assert.equal((await context.farewell(id)).reason, 'transport close');
  });

  tests.eachTransport('heartbeats keep a silent connection', async (context) => {
    const socket = await context.connected();
    await pause(1_200);
    assert.equal(await socket.emitWithAck('echo-ack', 1), 1);
  }, { server: { pingInterval: 100, pingTimeout: 200 } });

  tests.eachTransport('a client that answers no ping is given up', async (context) => {
    const socket = await context.connected();
    await settled(context, socket);
    const { engine } = socket.io;
    const send = engine.sendPacket ?? engine._sendPacket;
    engine._sendPacket = function (type, ...rest) {
      return type === 'pong' ? undefined : send.call(this, type, ...rest);
    };
    engine.sendPacket = engine._sendPacket;
    const id = socket.id;
    const start = performance.now();
    assert.equal((await context.farewell(id)).reason, 'ping timeout');
    assert.ok(performance.now() - start < 4_000, 'soon after interval and timeout');
  }, { server: { pingInterval: 300, pingTimeout: 700 } });

  tests.eachTransport('a server that pings no more is given up by the client', async (context) => {
    const socket = await context.connected();
    await settled(context, socket);
    const gone = next(socket, 'disconnect');
    context.server.child.kill('SIGSTOP');
    assert.equal((await gone)[0], 'ping timeout');
    context.server.child.kill('SIGCONT');
  }, { server: { pingInterval: 200, pingTimeout: 300 } });

  tests.add('a connection without a namespace ends', async (context) => {
    const raw = await Raw.open(context.server);
    raw.text('40/unknown,');
    await raw.receive('44');
    const start = performance.now();
    await raw.closed(2_000);
    assert.ok(performance.now() - start > 150, 'not at once');
    const polling = await Polling.open(context.server);
    await within(2_000, polling.gone(), 'the polling session to end');
  }, { server: { connectTimeout: 300 } });

  tests.eachTransport('a namespace joined in time keeps the connection', async (context) => {
    const socket = await context.connected();
    await pause(500);
    assert.equal(await socket.emitWithAck('echo-ack', 1), 1);
  }, { server: { connectTimeout: 200 } });

  tests.eachTransport('the server shuts down', async (context) => {
    const socket = await context.connected();
    await settled(context, socket);
    const gone = next(socket, 'disconnect');
    await context.server.close();
    assert.match((await gone)[0], /^transport (close|error)$/);
    context.server = await context.server.restart();
  }, { server: {} });

  tests.eachTransport('clients come back after a restart', async (context) => {
    const options = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50 };
    const sockets = await Promise.all(Array.from({ length: 20 }, () => context.connected('/', options)));
    const custom = await context.connected('/auth', { ...options, auth: { token: 'secret' } });
    const everyone = [...sockets, custom];
    const before = everyone.map((socket) => socket.id);
    const back = Promise.all(everyone.map((socket) => next(socket, 'connect', 15_000)));
    context.server = await context.server.restart();
    sockets.forEach((socket) => socket.emit('while away', socket.id));
    await back;
    assert.ok(everyone.every((socket, i) => socket.id !== before[i]), 'new ids');
    assert.deepEqual(await Promise.all(everyone.map((socket) => socket.emitWithAck('echo-ack', 1))), everyone.map(() => 1));
  }, { server: {} });

  tests.eachTransport('what is emitted while the server is away arrives once', async (context) => {
    const socket = await context.connected('/', { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50 });
    const gone = next(socket, 'disconnect');
    await context.server.kill();
    await gone;
    const seen = [];
    socket.on('echo', (n) => seen.push(n));
    [1, 2, 3].forEach((n) => socket.emit('echo', n));
    context.server = await context.server.restart();
    await next(socket, 'connect', 15_000);
    await socket.emitWithAck('echo-ack', 'last');
    assert.deepEqual(seen, [1, 2, 3]);
  }, { server: {} });

  tests.eachTransport('many short connections leave nothing behind', async (context) => {
    for (let round = 0; round < 10; round += 1) {
      const sockets = Array.from({ length: 20 }, () => context.client());
      await Promise.all(sockets.filter((_, i) => i % 2 === 0).map((socket) => next(socket, 'connect')));
      sockets.forEach((socket) => socket.disconnect());
    }
  });
}

/** Waits for the upgrade, where there is one. */
async function settled(context, socket) {
  if (context.way === 'upgrade' && socket.io.engine.transport.name !== 'websocket') {
    await next(socket.io.engine, 'upgrade');
  }
}
