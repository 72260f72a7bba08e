// What is configured: who may connect, by which way, at which path, and what is sent along.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import http from 'node:http';
import { fileURLToPath } from 'node:url';
import { request } from '../harness/raw.mjs';
import { next, pause } from '../harness/time.mjs';

const CLIENT = fileURLToPath(new URL('../node_modules/socket.io/client-dist', import.meta.url));
const handshake = { query: { EIO: '4', transport: 'polling' } };

export default function options(tests) {
  tests.eachTransport('allow_request decides', async (context) => {
    const stranger = context.client();
    const [error] = await next(stranger, 'connect_error');
    assert.equal(error.message, context.way === 'websocket' ? 'websocket error' : 'xhr poll error');
    assert.equal((await context.server.stats()).sessions, 0);
    const friend = await context.connected('/', { extraHeaders: { 'x-key': 'secret' } });
    assert.deepEqual((await friend.emitWithAck('refused')).map(([code]) => code), [4]);
    const { status, body } = await request(context.server, handshake);
    assert.deepEqual([status, body], [403, '{"code":4,"message":"no key"}']);
  }, { server: { key: 'secret' } });

  tests.add('no upgrade where none is allowed', async (context) => {
    context.way = 'upgrade';
    const socket = await context.connected();
    assert.equal(await socket.emitWithAck('echo-ack', 1), 1);
    await pause(50);
    assert.equal(await socket.emitWithAck('echo-ack', 2), 2);
    assert.equal(socket.io.engine.transport.name, 'polling');
  }, { server: { allowUpgrades: false } });

  tests.eachTransport('another path, with and without the slash', async (context) => {
    for (const addTrailingSlash of [true, false]) {
      const socket = await context.connected('/', { path: '/deep/chat', addTrailingSlash });
      assert.equal(await socket.emitWithAck('echo-ack', 1), 1);
    }
    assert.equal((await request(context.server, handshake)).status, 404);
  }, { server: { path: '/deep/chat' } });

  tests.add('ids of sessions', async (context) => {
    const sockets = [await context.connected('/', { transports: ['polling'] }), await context.connected()];
    assert.deepEqual(sockets.map((socket) => socket.io.engine.id), ['mine-1', 'mine-2']);
  }, { server: { ids: 'mine-' } });

  tests.add('the cookie of a session', async (context) => {
    context.way = 'upgrade';
    const socket = await context.connected('/', { withCredentials: true });
    assert.equal(new Map(socket.io.engine._cookieJar.cookies).get('io').value, socket.io.engine.id);
    const opened = await request(context.server, handshake);
    const { sid } = JSON.parse(opened.body.slice(1));
    assert.deepEqual(opened.headers['set-cookie'], [`io=${sid}; Path=/; HttpOnly; SameSite=Lax`]);
    await request(context.server, { method: 'POST', query: { ...handshake.query, sid }, body: '1' });
  }, { server: { cookie: 'io' } });

  tests.add('headers of answers', async (context) => {
    const opened = await request(context.server, handshake);
    const { sid } = JSON.parse(opened.body.slice(1));
    const posted = await request(context.server, { method: 'POST', query: { ...handshake.query, sid }, body: '1' });
    const seen = [opened, posted].map(({ headers }) => [headers['x-first'], headers['x-each']]);
    assert.deepEqual(seen, [['first', 'each'], [undefined, 'each']]);
  }, { server: { headers: true } });

  tests.add('an allowed origin', async ({ server }) => {
    const headers = { origin: 'https://a.example' };
    const granted = { 'access-control-allow-origin': headers.origin, 'access-control-allow-credentials': 'true', vary: 'Origin' };
    const opened = await request(server, { ...handshake, headers });
    partly(opened.headers, granted);
    const query = { ...handshake.query, sid: JSON.parse(opened.body.slice(1)).sid };
    partly((await request(server, { method: 'POST', query, headers, body: '1' })).headers, granted);
    const refused = await request(server, { query: { EIO: '4', transport: 'pigeon' }, headers });
    assert.equal(refused.status, 400);
    partly(refused.headers, granted);
    const asked = { ...headers, 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-token' };
    const preflight = await request(server, { ...handshake, method: 'OPTIONS', headers: asked });
    assert.equal(preflight.status, 204);
    partly(preflight.headers, {
      ...granted, vary: 'Origin, Access-Control-Request-Headers', 'access-control-allow-headers': 'x-token',
      'access-control-allow-methods': 'GET,HEAD,PUT,PATCH,POST,DELETE',
    });
    const foreign = await request(server, { ...handshake, headers: { origin: 'https://b.example' } });
    assert.equal(foreign.headers['access-control-allow-origin'], undefined);
    await request(server, { method: 'POST', query: { ...handshake.query, sid: JSON.parse(foreign.body.slice(1)).sid }, body: '1' });
  }, { server: { origin: 'https://a.example' } });

  tests.add('the client for browsers', async ({ server }) => {
    for (const name of ['socket.io.js', 'socket.io.min.js', 'socket.io.esm.min.js', 'socket.io.msgpack.min.js', 'socket.io.min.js.map']) {
      const file = await readFile(`${CLIENT}/${name}`);
      const plain = await fetched(server, name, {});
      assert.equal(plain.status, 200, name);
      assert.ok(plain.body.equals(file), name);
      assert.match(plain.headers['content-type'], name.endsWith('.map') ? /^application\/json/ : /^application\/javascript/);
      const packed = await fetched(server, name, { 'accept-encoding': 'gzip' });
      assert.equal(packed.headers['content-encoding'], 'gzip');
      assert.ok(gunzipSync(packed.body).equals(file), name);
      const known = await fetched(server, name, { 'if-none-match': plain.headers.etag });
      assert.deepEqual([known.status, known.body.length], [304, 0]);
    }
    assert.notEqual((await fetched(server, 'package.json', {})).status, 200);
  }, { server: { serveClient: CLIENT } });

  tests.add('refused requests are reported', async (context) => {
    for (const query of [{ EIO: '4' }, { ...handshake.query, sid: 'x' }, { EIO: '4', transport: 'websocket' }, { EIO: '3', transport: 'polling' }]) {
      await request(context.server, { query });
    }
    await request(context.server, { ...handshake, method: 'POST' });
    const socket = await context.connected();
    assert.deepEqual(await socket.emitWithAck('refused'), [
      [0, 'Transport unknown'], [1, 'Session ID unknown'], [3, 'Bad request'], [5, 'Unsupported protocol version'], [2, 'Bad handshake method'],
    ]);
  }, { server: {} });

  tests.eachTransport('a message that is too long ends the connection, and the server lives', async (context) => {
    const [socket, witness] = [await context.connected(), await context.connected()];
    const gone = next(socket, 'disconnect');
    socket.emit('size', 'x'.repeat(20_000));
    assert.match((await gone)[0], /^transport (close|error)$/);
    assert.equal(await witness.emitWithAck('size', 'x'.repeat(5_000)), 5_000);
  }, { server: { maxPayload: 10_000 } });
}

function partly(headers, expected) {
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, headers[name]])), expected);
}

/** A file as it is on the wire. */
function fetched(server, name, headers) {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port: server.port, path: `/socket.io/${name}`, headers }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) });
      });
    }).on('error', reject);
  });
}
