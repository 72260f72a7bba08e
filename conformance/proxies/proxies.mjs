// Official clients behind proxies, as docs/operations.md tells how to configure them.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent } from 'node:http';
import { connect, createServer } from 'node:net';
import { proxies, putBefore, replaced } from '../harness/proxy.mjs';
import { next, pause, until } from '../harness/time.mjs';

const PING_MS = 300;
const SIZE = 500_000;
const SERVER = { pingInterval: PING_MS, pingTimeout: 2_000, trustProxy: '127.0.0.1' };
/** Clients come from here, so that they are told from the proxy. */
const CLIENT = '127.0.0.2';
const INVENTED = { 'X-Forwarded-For': '203.0.113.9', Forwarded: 'for=203.0.113.9', 'X-Real-IP': '203.0.113.9' };
/** What nginx does with an upgrade, the status that the client gets, and the line by which it does so. */
const REFUSALS = [
  ['without the lines about Upgrade', 400, ''],
  ...[200, 403, 502].map((status) => [`answers upgrades by ${status}`, status, `if ($arg_transport = websocket) { return ${status}; }`]),
];
/** What the page says beside the configuration of HAProxy. */
const PROXY_PROTOCOL = [
  ['mode http', 'mode tcp'],
  ['    option forwardfor\n', ''],
  ['use_backend sockeye if { path_beg /socket.io/ }', 'default_backend sockeye'],
];

export default function behindProxies(tests) {
  for (const name of Object.keys(proxies)) {
    tests.eachTransport(`${name} passes everything on`, async (context) => {
      await putBefore(context, name);
      await exchanges(context);
    }, { server: SERVER });

    tests.eachTransport(`${name} says who the client is, whatever the client says`, async (context) => {
      await putBefore(context, name);
      await isKnown(context);
    }, { server: SERVER });

    tests.eachTransport(`clients come back when the server behind ${name} does`, async (context) => {
      await putBefore(context, name);
      const socket = await context.connected('/', { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 });
      const failed = next(socket.io, 'reconnect_error', 15_000);
      await context.server.kill();
      const { status } = await fetch(`${context.url}/socket.io/?EIO=4&transport=polling`);
      assert([502, 503].includes(status), `${status}`);
      await failed;
      const back = next(socket, 'connect', 15_000);
      context.server = await context.server.restart();
      await back;
      assert.equal(await socket.emitWithAck('echo-ack', 'again'), 'again');
    }, { server: SERVER });
  }

  for (const [what, status, extra] of REFUSALS) {
    tests.add(`nginx ${what}: polling goes on, and one try is all`, async (context) => {
      const nginx = await putBefore(context, 'nginx', () => plain(extra));
      await staysWithPolling(context);
      const tries = (await nginx.requests()).filter((line) => line.includes('transport=websocket'));
      assert.equal(tries.length, 1, tries.join('\n'));
      assert.match(tries[0], new RegExp(` ${status} `));
    }, { server: SERVER });
  }

  tests.add('the answer to the upgrade is lost on the way: polling goes on', async (context) => {
    const hole = await swallowing(context);
    const [to, lost] = ['proxy_pass http://sockeye;', `if ($arg_transport = websocket) { proxy_pass http://127.0.0.1:${hole.port}; }`];
    await putBefore(context, 'nginx', (page) => replaced(page, to, `${lost} ${to}`));
    await staysWithPolling(context, () => until(() => hole.swallowed !== '', 'the upgrade'));
    assert.match(hole.swallowed, /^HTTP\/1.1 101 /);
    if (!context.server.isReference) { // which waits half a minute for the end of a WebSocket
      await until(() => hole.hasEnded, 'the server to give the WebSocket up');
    }
  }, { server: { ...SERVER, upgradeTimeout: 500 } });

  tests.add('nginx without the lines about Upgrade: who has only WebSocket waits longer from try to try', async (context) => {
    const nginx = await putBefore(context, 'nginx', () => plain(''));
    const delays = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 800, randomizationFactor: 0 };
    const socket = context.client('/', { transports: ['websocket'], ...delays });
    // After 50, 100, 200 and 400 ms.
    await next(socket, 'connect_error');
    for (let attempt = 1; attempt <= 4; attempt += 1) {
      assert.deepEqual(await next(socket.io, 'reconnect_attempt'), [attempt]);
      await next(socket.io, 'reconnect_error');
    }
    assert.equal((await nginx.requests()).length, 5);
  }, { server: SERVER });

  tests.eachTransport('nginx writes Forwarded', async (context) => {
    const [xForwardedFor, forwarded] = ['X-Forwarded-For $proxy_add_x_forwarded_for', 'Forwarded for=$remote_addr'];
    await putBefore(context, 'nginx', (page) => replaced(page, xForwardedFor, forwarded));
    await isKnown(context);
  }, { server: { ...SERVER, proxyHeader: 'forwarded' } });

  for (const header of ['send-proxy', 'send-proxy-v2']) {
    tests.eachTransport(`HAProxy speaks the PROXY protocol by ${header}`, async (context) => {
      if (context.server.isReference) {
        return; // It does not speak it.
      }
      const address = '127.0.0.1:3000';
      const lines = [...PROXY_PROTOCOL, [address, `${address} ${header}`]];
      await putBefore(context, 'haproxy', (page) => lines.reduce((text, [from, to]) => replaced(text, from, to), page));
      await isKnown(context);
      await exchanges(context);
    }, { server: { ...SERVER, proxyProtocol: true } });
  }
}

/** Text and bytes, small and large, answers, and a silence of several heartbeats. */
async function exchanges(context) {
  const socket = await context.connected();
  const { id } = socket;
  if (context.way === 'upgrade') {
    await until(() => socket.io.engine.transport.name === 'websocket', 'the upgrade');
  }
  const echo = next(socket, 'echo');
  socket.emit('echo', 'grüß dich', Buffer.from([0, 255]));
  assert.deepEqual(await echo, ['grüß dich', Buffer.from([0, 255])]);
  assert.deepEqual(await socket.emitWithAck('echo-ack', { a: [1] }), { a: [1] });
  await pause(4 * PING_MS);

  assert.equal(await socket.emitWithAck('size', 'x'.repeat(SIZE)), SIZE);
  assert.equal(await socket.emitWithAck('size-binary', Buffer.alloc(SIZE, 7)), SIZE);
  for (const [event, wanted] of [['make', 'x'.repeat(SIZE)], ['make-binary', Buffer.alloc(SIZE, 7)]]) {
    const made = next(socket, 'made');
    socket.emit(event, SIZE);
    const [got] = await made;
    // Not by deepEqual, which would print both.
    assert(Buffer.from(got).equals(Buffer.from(wanted)), event);
  }
  assert.equal(socket.id, id);
}

async function isKnown(context) {
  const agent = new Agent({ localAddress: CLIENT });
  const socket = await context.connected('/', { agent, extraHeaders: INVENTED });
  // The official server believes nobody: its client is the proxy.
  const wanted = context.server.isReference ? '127.0.0.1' : CLIENT;
  assert.equal((await socket.emitWithAck('address')).replace('::ffff:', ''), wanted);
}

/** A client that wants a WebSocket, gets none, and is served all the same. */
async function staysWithPolling(context, refused = (engine) => next(engine, 'upgradeError')) {
  const socket = context.client('/', { transports: ['polling', 'websocket'] });
  await Promise.all([next(socket, 'connect'), refused(socket.io.engine)]);
  const { id } = socket;
  assert.equal(await socket.emitWithAck('echo-ack', 'as before'), 'as before');
  await pause(4 * PING_MS);
  assert.equal(await socket.emitWithAck('size', 'x'.repeat(SIZE)), SIZE);
  assert.deepEqual([socket.id, socket.io.engine.transport.name], [id, 'polling']);
}

/** nginx as people begin with it. */
function plain(extra) {
  return `server { listen 80; location /socket.io/ { ${extra} proxy_pass http://127.0.0.1:3000; } }`;
}

/** Passes everything on to the server, and nothing back but the end. */
async function swallowing(context) {
  const hole = { swallowed: '', hasEnded: false };
  const listener = createServer((from) => {
    const to = connect(context.server.port, '127.0.0.1');
    from.pipe(to);
    to.on('data', (data) => { hole.swallowed += data; });
    to.on('close', () => { hole.hasEnded = true; });
    for (const end of [from, to]) {
      end.on('error', () => {}).on('close', () => { from.destroy(); to.destroy(); });
    }
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  context.atEnd(() => { listener.close(); });
  hole.port = listener.address().port;
  return hole;
}
