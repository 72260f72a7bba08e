// Engine.IO over HTTP, byte by byte.

import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { Polling, Raw, request } from '../harness/raw.mjs';
import { pause, until, within } from '../harness/time.mjs';

const errors = [
  ['an unknown transport', { query: { EIO: '4', transport: 'pigeon' } }, 400, { code: 0, message: 'Transport unknown' }],
  ['a transport named like a property', { query: { EIO: '4', transport: '__proto__' } }, 400, { code: 0, message: 'Transport unknown' }],
  ['a transport named like a method', { query: { EIO: '4', transport: 'constructor' } }, 400, { code: 0, message: 'Transport unknown' }],
  ['no transport', { query: { EIO: '4' } }, 400, { code: 0, message: 'Transport unknown' }],
  ['an unknown session', { query: { EIO: '4', transport: 'polling', sid: 'abc' } }, 400, { code: 1, message: 'Session ID unknown' }],
  ['a session named like a property', { query: { EIO: '4', transport: 'polling', sid: '__proto__' } }, 400, { code: 1, message: 'Session ID unknown' }],
  ['a session of the right length', { query: { EIO: '4', transport: 'polling', sid: 'AAAAAAAAAAAAAAAAAAAA' } }, 400, { code: 1, message: 'Session ID unknown' }],
  ['a handshake by POST', { method: 'POST', query: { EIO: '4', transport: 'polling' }, body: '40' }, 400, { code: 2, message: 'Bad handshake method' }],
  ['a handshake by PUT', { method: 'PUT', query: { EIO: '4', transport: 'polling' }, body: '40' }, 400, { code: 2, message: 'Bad handshake method' }],
  ['a WebSocket by plain GET', { query: { EIO: '4', transport: 'websocket' } }, 400, { code: 3, message: 'Bad request' }],
  ['an old protocol', { query: { EIO: '3', transport: 'polling' } }, 400, { code: 5, message: 'Unsupported protocol version' }],
  ['no protocol', { query: { transport: 'polling' } }, 400, { code: 5, message: 'Unsupported protocol version' }],
];

export default function wireHttp(tests) {
  tests.add('the handshake', async ({ server }) => {
    const answer = await request(server, { query: { EIO: '4', transport: 'polling' } });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], 'text/plain; charset=UTF-8');
    assert.equal(answer.headers['cache-control'], 'no-store');
    const { sid, ...rest } = JSON.parse(answer.body.slice(1));
    assert.match(sid, /^[\w-]{20,22}$/);
    assert.equal(answer.body, `0${JSON.stringify({ sid, upgrades: ['websocket'], pingInterval: 250, pingTimeout: 200, maxPayload: 1234 })}`);
    assert.deepEqual(Object.keys(rest), ['upgrades', 'pingInterval', 'pingTimeout', 'maxPayload']);
  }, { server: { pingInterval: 250, pingTimeout: 200, maxPayload: 1234 } });

  tests.add('the handshake without upgrades', async (context) => {
    const polling = await Polling.open(context.server);
    assert.deepEqual(polling.handshake.upgrades, []);
    await polling.post('1');
  }, { server: { transports: 'polling' } });

  tests.add('the handshake with other parameters', async ({ server }) => {
    for (const query of ['EIO=4&transport=polling&t=abc', 'transport=polling&EIO=4&x=%ff%00', 't=1&EIO=4&transport=polling&__proto__=1']) {
      const answer = await request(server, { query });
      assert.equal(answer.status, 200, query);
      await request(server, { method: 'POST', query: { EIO: '4', transport: 'polling', sid: JSON.parse(answer.body.slice(1)).sid }, body: '1' });
    }
  });

  for (const [name, options, status, body] of errors) {
    tests.add(`refused: ${name}`, async ({ server }) => {
      const answer = await request(server, options);
      assert.equal(answer.status, status);
      assert.equal(answer.headers['content-type'], 'application/json');
      assert.equal(answer.body, JSON.stringify(body));
    });
  }

  for (const EIO of ['0', '1', '2', '5', 'abc', '', '04', '4.0', '4 ']) {
    tests.add(`never another protocol: EIO=${JSON.stringify(EIO)}`, async (context) => {
      const answer = await request(context.server, { query: { EIO, transport: 'polling' } });
      if (context.server.isReference && answer.status === 200) {
        // It takes whatever is not 3 for 4.
        await request(context.server, { method: 'POST', query: { EIO, transport: 'polling', sid: JSON.parse(answer.body.slice(1)).sid }, body: '1' });
        return;
      }
      assert.equal(answer.status, 400);
      assert.equal(answer.body, '{"code":5,"message":"Unsupported protocol version"}');
    });
  }

  tests.add('other paths are not ours', async ({ server }) => {
    for (const path of ['/', '/socket.iox/', '/engine.io/', '/x/socket.io/']) {
      const answer = await request(server, { path, query: { EIO: '4', transport: 'polling' } });
      assert.equal(answer.status, 404, path);
    }
  });

  tests.add('a POST is answered by ok', async ({ server }) => {
    const polling = await Polling.open(server);
    const answer = await polling.post('40');
    assert.equal(answer.status, 200);
    assert.equal(answer.body, 'ok');
    assert.match(answer.headers['content-type'], /^text\/html/);
    assert.match((await polling.get()).body, /^40\{"sid":"[\w-]{20,22}"\}$/);
    await polling.post('1');
  });

  tests.add('many packets in one body, each way', async ({ server }) => {
    const polling = await Polling.joined(server);
    await polling.post('42["echo",1]\x1e42["echo","é😀"]\x1e421["echo-ack",[]]');
    const packets = await polling.receive('43');
    assert.deepEqual(packets, ['42["echo",1]', '42["echo","é😀"]', '431[[]]']);
    await polling.post('1');
  });

  tests.add('binary data goes as base64', async ({ server }) => {
    const polling = await Polling.joined(server);
    await polling.post('451-["echo",{"_placeholder":true,"num":0}]\x1ebAQIDBA==');
    assert.deepEqual(await polling.receive('b'), ['451-["echo",{"_placeholder":true,"num":0}]', 'bAQIDBA==']);
    await polling.post('1');
  });

  tests.add('an attachment may come in a later body', async ({ server }) => {
    const polling = await Polling.joined(server);
    await polling.post('452-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]');
    await polling.post('bAQ==');
    await polling.post('bAg==');
    const packets = await polling.receive('bAg==');
    assert.deepEqual(packets.slice(-3), ['452-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', 'bAQ==', 'bAg==']);
    await polling.post('1');
  });

  tests.add('a poll waits until there is something', async ({ server }) => {
    const polling = await Polling.joined(server);
    const poll = polling.get();
    await pause(100);
    await polling.post('42["echo","now"]');
    assert.equal((await poll).body, '42["echo","now"]');
    await polling.post('1');
  });

  tests.add('close is answered to the waiting poll', async ({ server }) => {
    const polling = await Polling.joined(server);
    const poll = polling.get();
    await pause(20);
    assert.equal((await polling.post('1')).body, 'ok');
    assert.deepEqual([(await poll).status, (await poll).body], [200, '6']);
    assert.equal((await polling.get()).body, '{"code":1,"message":"Session ID unknown"}');
  });

  tests.add('a second GET ends both and the session', async ({ server }) => {
    const polling = await Polling.joined(server);
    const first = polling.get();
    await pause(50);
    const second = await polling.get();
    assert.equal(second.status, 400);
    assert.deepEqual([(await first).status, (await first).body], [200, '1']);
    assert.equal((await polling.get()).status, 400);
  });

  tests.add('a second POST ends the session', async ({ server }) => {
    const polling = await Polling.joined(server);
    const query = new URLSearchParams(polling.query);
    const slow = http.request({ host: '127.0.0.1', port: server.port, method: 'POST', path: `/socket.io/?${query}`, headers: { 'content-length': 100, 'content-type': 'text/plain' } });
    slow.on('error', () => {});
    slow.write('42["ec');
    await pause(50);
    assert.equal((await polling.post('42["echo",1]')).status, 400);
    await polling.gone();
    slow.destroy();
  });

  tests.add('a body of the largest size, and one byte more', async ({ server }) => {
    const polling = await Polling.joined(server);
    const around = '42["echo",""]'.length;
    const exact = `42["echo","${'x'.repeat(1_000 - around)}"]`;
    assert.deepEqual([(await polling.post(exact)).status, (await polling.get()).body], [200, exact]);
    const over = await polling.post(`42["echo","${'x'.repeat(1_001 - around)}"]`);
    const told = server.isReference ? '' : '{"code":3,"message":"message too large"}';
    assert.deepEqual([over.status, over.body], [413, told]);
    await polling.post('42["echo","still here"]');
    assert.equal((await polling.get()).body, '42["echo","still here"]');
    await polling.post('1');
  }, { server: { maxPayload: 1_000 } });

  tests.add('a body without a length is cut at the largest size', async ({ server }) => {
    const polling = await Polling.joined(server);
    const chunked = { 'transfer-encoding': 'chunked', 'content-type': 'text/plain' };
    assert.equal((await polling.post('42["echo",1]', chunked)).status, 200);
    assert.equal((await polling.post(`42["echo","${'x'.repeat(5_000)}"]`, chunked)).status, 413);
    await polling.post('1');
  }, { server: { maxPayload: 1_000 } });

  tests.add('a binary body is refused', async ({ server }) => {
    const polling = await Polling.joined(server);
    const answer = await polling.post(Buffer.from([4, 1, 2]), { 'content-type': 'application/octet-stream' });
    assert.deepEqual([answer.status, answer.body], [400, '']);
  });

  tests.add('other methods on a session are refused', async ({ server }) => {
    const polling = await Polling.joined(server);
    for (const method of ['PUT', 'DELETE', 'PATCH']) {
      const { status } = await request(server, { method, query: polling.query });
      assert.ok(status >= 400, `${method}: ${status}`);
    }
    await polling.post('42["echo","still here"]');
    assert.equal((await polling.get()).body, '42["echo","still here"]');
    await polling.post('1');
  });

  tests.add('garbage is answered by ok, and ends the session', async ({ server }) => {
    for (const garbage of ['abc', '8', '', '\x1e', '40\x1e', 'b!', 'x'.repeat(900)]) {
      const polling = await Polling.open(server);
      assert.deepEqual([(await polling.post(garbage)).status, garbage], [200, garbage]);
      await within(3_000, polling.gone(), `the session to end after ${JSON.stringify(garbage)}`);
    }
  });

  tests.add('a session is not reached by another transport', async (context) => {
    const polling = await Polling.joined(context.server);
    const wrong = await request(context.server, { query: { ...polling.query, transport: 'websocket' } });
    assert.deepEqual([wrong.status, wrong.body], [400, '{"code":3,"message":"Bad request"}']);
    await polling.post('42["echo","still here"]');
    assert.equal((await polling.get()).body, '42["echo","still here"]');
    await polling.post('1');

    const socket = await context.connected();
    const other = await request(context.server, { query: { EIO: '4', transport: 'polling', sid: socket.io.engine.id } });
    assert.deepEqual([other.status, other.body], [400, '{"code":3,"message":"Bad request"}']);
    assert.equal(await socket.emitWithAck('echo-ack', 'untouched'), 'untouched');
  });

  tests.add('a session does not change its protocol', async ({ server }) => {
    const polling = await Polling.joined(server);
    const answer = await request(server, { query: { ...polling.query, EIO: '3' } });
    assert.deepEqual([answer.status, answer.body], [400, '{"code":3,"message":"Bad request"}']);
    await polling.post('1');
  }, { server: { allowEio3: true } });

  tests.add('pings come by polling, and a missing pong ends the session', async ({ server }) => {
    const start = performance.now();
    const polling = await Polling.joined(server);
    assert.equal((await polling.get()).body, '2');
    assert.ok(performance.now() - start > 450, 'not before the interval');
    await polling.post('3');
    assert.equal((await polling.get()).body, '2');
    await until(async () => (await server.stats()).sessions === 0, 'the session to end');
    assert.equal((await polling.get()).body, '{"code":1,"message":"Session ID unknown"}');
  }, { server: { pingInterval: 500, pingTimeout: 500 } });

  tests.add('a handshake and then silence', async ({ server }) => {
    await Promise.all(Array.from({ length: 50 }, () => Polling.open(server)));
    assert.equal((await server.stats()).sessions, 50);
    await until(async () => (await server.stats()).sessions === 0, 'the sessions to end', 2_000);
  }, { server: { pingInterval: 200, pingTimeout: 300 } });

  tests.add('a poll given up by the client ends the session', async ({ server }) => {
    const polling = await Polling.joined(server);
    const poll = polling.get();
    poll.catch(() => {});
    await pause(50);
    poll.abort();
    await until(async () => (await server.stats()).sessions === 0, 'the session to end', 2_000);
  });

  tests.add('whoever ends its side of a connection is answered, but for a poll that waits', async ({ server }) => {
    const last = (path, head = '', body = '') => new Promise((resolve, reject) => {
      const socket = net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
      let text = '';
      socket.on('data', (data) => { text += data; });
      socket.on('error', reject);
      socket.on('end', () => { socket.end(); resolve(text); });
      socket.end(`${body ? 'POST' : 'GET'} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\n${head}\r\n${body}`);
    });
    const say = (path, body) => last(path, `Content-Type: text/plain\r\nContent-Length: ${body.length}\r\n`, body);
    const open = '/socket.io/?EIO=4&transport=polling';
    const path = `${open}&sid=${/"sid":"([^"]+)"/.exec(await last(open))[1]}`;
    assert.match(await say(path, '40'), /^HTTP\/1.1 200 [^]*ok/);
    assert.match(await last(path), /^HTTP\/1.1 200 [^]*40\{"sid":/);
    assert.match(await say(path, '42["echo","half"]'), /^HTTP\/1.1 200 [^]*ok/);
    assert.match(await last(path), /^HTTP\/1.1 200 [^]*42\["echo","half"\]/);
    const told = await last(path);
    assert.match(told, server.isReference ? /^$/ : /^HTTP\/1.1 400 [^]*\{"code":1,"message":"Session ID unknown"\}/);
    await until(async () => (await server.stats()).sessions === 0, 'the session to end', 2_000);
  });

  tests.add('requests one behind the other on one connection', async ({ server }) => {
    const polling = await Polling.joined(server);
    const path = `/socket.io/?${new URLSearchParams(polling.query)}`;
    const socket = net.connect(server.port, '127.0.0.1');
    const host = `Host: 127.0.0.1:${server.port}\r\n`;
    const body = '42["echo","piped"]';
    socket.write(`POST ${path} HTTP/1.1\r\n${host}Content-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}GET ${path} HTTP/1.1\r\n${host}\r\n`);
    let text = '';
    socket.on('data', (data) => { text += data; });
    await until(() => text.includes('42["echo","piped"]'), 'both answers');
    assert.ok(text.indexOf('ok') < text.indexOf('42["echo"'), 'in order');
    socket.destroy();
    await polling.post('1');
  });

  tests.add('odd requests leave others alone', async (context) => {
    const witness = await context.connected();
    const { server } = context;
    const heads = [
      'GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n\r\n', 'GET\r\n\r\n', '\r\n\r\n', '\x00\x01\x02', 'POST /socket.io/ HTTP/1.1\r\nContent-Length: -1\r\n\r\n',
      `GET /socket.io/?${'x'.repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, `GET /socket.io/ HTTP/1.1\r\nHost: x\r\n${'X-Header: 1\r\n'.repeat(5_000)}\r\n`,
      'GET /socket.io/?EIO=4&transport=polling&sid=%00%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    ];
    for (const head of heads) {
      const socket = net.connect(server.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(head);
      await pause(20);
      socket.destroy();
    }
    assert.equal(await witness.emitWithAck('echo-ack', 'untouched'), 'untouched');
    assert.ok(server.isAlive);
  }, { server: { pingInterval: 300, pingTimeout: 200 } });

  tests.add('a refused WebSocket is answered in plain HTTP', async (context) => {
    for (const query of [{ sid: 'abc' }, { transport: 'pigeon' }]) {
      const raw = await Raw.open(context.server, query);
      assert.match(raw.head, /^HTTP\/1\.1 400 Bad Request\r\n/);
      raw.end();
    }
  });

  for (const [name, query] of [['of an old protocol', { EIO: '3' }], ['which calls itself polling', { transport: 'polling' }]]) {
    tests.add(`a WebSocket ${name} is refused, before or after 101`, async (context) => {
      const raw = await Raw.open(context.server, query);
      if (raw.status === 101) {
        await raw.closed();
        assert.deepEqual(raw.messages, []);
      } else {
        assert.equal(raw.status, 400);
      }
      raw.end();
    });
  }

  tests.add('a broken WebSocket handshake is refused', async (context) => {
    for (const headers of [{ 'Sec-WebSocket-Key': null }, { 'Sec-WebSocket-Key': 'short' }, { 'Sec-WebSocket-Version': '12' }, { 'Sec-WebSocket-Version': null }]) {
      const raw = await Raw.open(context.server, {}, { headers });
      assert.ok(raw.status >= 400 && raw.status < 500, `${JSON.stringify(headers)}: ${raw.status}`);
      raw.end();
    }
  });
}
