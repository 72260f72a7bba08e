// Engine.IO over WebSocket, frame by frame, and the change from polling to it.

import assert from 'node:assert/strict';
import { Polling, Raw, frame } from '../harness/raw.mjs';
import { pause, until } from '../harness/time.mjs';

/** What the official server's WebSocket library lets pass, against RFC 6455. */
const lenient = ['a length in more bytes than needed'];
const quick = { pingInterval: 200, pingTimeout: 300 };

export default function wireWs(tests) {
  tests.add('the handshake', async (context) => {
    const raw = await open(context);
    const packet = await raw.receive('0');
    const { sid } = JSON.parse(packet.slice(1));
    assert.match(sid, /^[\w-]{20,22}$/);
    assert.equal(packet, `0${JSON.stringify({ sid, upgrades: [], pingInterval: 25000, pingTimeout: 20000, maxPayload: 1000000 })}`);
    raw.text('40');
    assert.match(await raw.receive('40'), /^40\{"sid":"[\w-]{20,22}"\}$/);
    raw.end();
  });

  tests.add('text and binary', async (context) => {
    const raw = await joined(context);
    raw.text('42["echo","é😀"]');
    assert.equal(await raw.receive('42'), '42["echo","é😀"]');
    raw.text('452-["echo",{"_placeholder":true,"num":0},1,{"a":{"_placeholder":true,"num":1}}]');
    raw.binary([1, 2, 3]);
    raw.binary([]);
    assert.equal(await raw.receive('45'), '452-["echo",{"_placeholder":true,"num":0},1,{"a":{"_placeholder":true,"num":1}}]');
    assert.deepEqual([await raw.receive(), await raw.receive()], [Buffer.from([1, 2, 3]), Buffer.alloc(0)]);
    raw.text('461-5[{"_placeholder":true,"num":0}]');
    raw.binary([9]);
    raw.text('42["echo","an answer nobody waits for is ignored"]');
    await raw.receive('42');
  });

  tests.add('acknowledgements', async (context) => {
    const raw = await joined(context);
    for (const id of ['0', '7', '4294967296', '9007199254740991']) {
      raw.text(`42${id}["echo-ack","x",2]`);
      assert.equal(await raw.receive('43'), `43${id}["x",2]`);
    }
    raw.text('451-3["echo-ack",{"_placeholder":true,"num":0}]');
    raw.binary([7]);
    assert.equal(await raw.receive('46'), '461-3[{"_placeholder":true,"num":0}]');
    assert.deepEqual(await raw.receive(), Buffer.from([7]));
    raw.text('42["ask","q"]');
    const question = await raw.receive('42');
    const id = /^42(\d+)\["question","q"\]$/.exec(question)?.[1];
    assert.ok(id !== undefined, question);
    raw.text(`43${id}["first"]`);
    raw.text(`43${id}["second answers are ignored"]`);
    raw.text('43999["unknown answers too"]');
    assert.equal(await raw.receive('42'), '42["answer","first"]');
    raw.text('42["echo",1]');
    assert.equal(await raw.receive('42'), '42["echo",1]');
  });

  tests.add('namespaces', async (context) => {
    const raw = await open(context);
    await raw.receive('0');
    raw.text('40/custom,{"token":"é"}');
    assert.match(await raw.receive('40'), /^40\/custom,\{"sid":"[\w-]{20,22}"\}$/);
    raw.text('42/custom,1["who"]');
    assert.match(await raw.receive('43'), /^43\/custom,1\[\{.*"auth":\{"token":"é"\}/);
    raw.text('451-/custom,["echo",{"_placeholder":true,"num":0}]');
    raw.binary([1]);
    assert.equal(await raw.receive('45'), '451-/custom,["echo",{"_placeholder":true,"num":0}]');
    raw.text('40/unknown,');
    assert.equal(await raw.receive('44'), '44/unknown,{"message":"Invalid namespace"}');
    raw.text('40/auth,{"token":"no"}');
    const [, refusal] = /^44\/auth,(.*)$/.exec(await raw.receive('44'));
    assert.deepEqual(JSON.parse(refusal), { message: 'not authorized', data: { reason: 'bad token', got: 'no' } });
    raw.text('42/custom,["disconnect-me",false]');
    assert.equal(await raw.receive('41'), '41/custom,');
  });

  tests.add('namespaces without the comma', async (context) => {
    const raw = await open(context);
    await raw.receive('0');
    raw.text('40/custom');
    assert.match(await raw.receive('40'), /^40\/custom,\{"sid":"[\w-]{20,22}"\}$/);
    raw.text('41/custom');
    await pause(20);
    raw.text('40/custom');
    await raw.receive('40');
  });

  tests.add('a namespace with a query', async (context) => {
    const raw = await open(context);
    await raw.receive('0');
    raw.text('40/custom?token=x,');
    if (context.server.isReference) {
      // It strips the query for old clients only; new ones do not send any.
      assert.equal(await raw.receive('44'), '44/custom?token=x,{"message":"Invalid namespace"}');
    } else {
      assert.match(await raw.receive('40'), /^40\/custom,\{"sid":"[\w-]{20,22}"\}$/);
    }
  });

  tests.add('a namespace with a query, in every packet of an old client', async (context) => {
    const raw = await Raw.open(context.server, { EIO: '3' });
    context.atEnd(() => raw.end());
    await raw.receive('0');
    raw.text('40/custom?token=x,');
    assert.equal(await raw.receive('40/custom'), '40/custom,');
    raw.text('42/custom?token=x,1["echo-ack","x"]');
    assert.equal(await raw.receive('43'), '43/custom,1["x"]');
    raw.text('41/custom?token=x,');
    raw.text('421["echo-ack","still here"]');
    assert.equal(await raw.receive('43'), '431["still here"]');
  }, { server: { allowEio3: true } });

  tests.add('heartbeats', async (context) => {
    const raw = await joined(context);
    for (let beat = 0; beat < 4; beat += 1) {
      assert.equal(await raw.receive('2'), '2');
      raw.text('3');
    }
    await raw.receive('2');
    await raw.closed(2_000);
  }, { server: quick });

  tests.add('pongs nobody asked for change nothing', async (context) => {
    const raw = await joined(context);
    raw.write(Buffer.concat(Array.from({ length: 10_000 }, () => frame(0x1, Buffer.from('3')))));
    raw.text('42["echo",1]');
    assert.equal(await raw.receive('42'), '42["echo",1]');
  });

  tests.add('WebSocket pings are answered, empty and full', async (context) => {
    const raw = await joined(context);
    const pongs = [];
    const take = raw.take.bind(raw);
    raw.take = (first, payload) => ((first & 0x0f) === 0xa ? pongs.push(payload.toString()) : take(first, payload));
    for (const payload of ['', 'p'.repeat(125)]) {
      raw.write(frame(0x9, Buffer.from(payload)));
      await until(() => pongs.length > 0, 'a pong');
      assert.deepEqual(pongs.splice(0), [payload]);
    }
  });

  tests.add('messages in fragments, with a ping between', async (context) => {
    const raw = await joined(context);
    const message = Buffer.from('42["echo","é😀é"]');
    for (let cut = 1; cut < message.length; cut += 1) {
      raw.write(frame(0x1, message.subarray(0, cut), { fin: false }));
      raw.write(frame(0x9, Buffer.from('between')));
      raw.write(frame(0x0, message.subarray(cut)));
      assert.equal(await raw.receive('42'), message.toString());
    }
  });

  tests.add('one byte at a time', async (context) => {
    const raw = await joined(context);
    for (const byte of frame(0x1, Buffer.from('42["echo","drip"]'))) {
      raw.write(Buffer.from([byte]));
      await pause(0);
    }
    assert.equal(await raw.receive('42'), '42["echo","drip"]');
  });

  tests.add('many messages in one segment', async (context) => {
    const raw = await joined(context);
    raw.write(Buffer.concat(Array.from({ length: 200 }, (_, n) => frame(0x1, Buffer.from(`42["echo",${n}]`)))));
    for (let n = 0; n < 200; n += 1) {
      assert.equal(await raw.receive('42'), `42["echo",${n}]`);
    }
  });

  for (const length of [0, 1, 113, 114, 115, 65_523, 65_524, 65_525, 200_000]) {
    tests.add(`a message at the borders of frame sizes: ${length + 12} bytes`, async (context) => {
      const raw = await joined(context);
      const message = `42["echo","${'x'.repeat(length)}"]`;
      raw.text(message);
      assert.equal(await raw.receive('42'), message);
    });
  }

  tests.add('a message of the largest size, and one byte more', async (context) => {
    const raw = await joined(context);
    const message = (length) => `42["echo","${'x'.repeat(length - 13)}"]`;
    raw.text(message(1_000));
    assert.equal(await raw.receive('42'), message(1_000));
    raw.text(message(1_001));
    assert.equal(await raw.closed(), 1009);
  }, { server: { maxPayload: 1_000 } });

  for (const [name, bytes, codes] of brokenFrames()) {
    tests.add(`a broken frame ends the connection: ${name}`, async (context) => {
      const witness = await context.connected();
      const raw = await joined(context);
      raw.write(bytes);
      if (context.server.isReference && lenient.includes(name)) {
        return raw.end();
      }
      const code = await raw.closed();
      assert.ok(codes.includes(code), `close code ${code}`);
      assert.equal(await witness.emitWithAck('echo-ack', 'untouched'), 'untouched');
    });

    tests.add(`a broken frame in the segment of the handshake: ${name}`, async (context) => {
      const raw = await Raw.open(context.server, {}, { early: bytes });
      context.atEnd(() => raw.end());
      if (!context.server.isReference || !lenient.includes(name)) {
        await raw.closed();
      }
    });
  }

  for (const [name, packet] of Object.entries({ 'an unknown type': '9abc', 'an empty message': '', 'a letter': 'x', 'a ping (the server pings)': '2', 'a second open': '0{}' })) {
    tests.add(`a broken packet ends the connection: ${name}`, async (context) => {
      const witness = await context.connected();
      const raw = await joined(context);
      raw.text(packet);
      if (context.server.isReference && packet.startsWith('0')) {
        raw.end(); // It ignores the packet.
      } else {
        await raw.closed();
      }
      assert.equal(await witness.emitWithAck('echo-ack', 'untouched'), 'untouched');
    });
  }

  upgrades(tests);
}

function upgrades(tests) {
  tests.add('upgrade: probe, switch, and every poll is answered meanwhile', async (context) => {
    const polling = await Polling.joined(context.server);
    const poll = polling.get();
    await pause(20);
    const raw = await open(context, { sid: polling.handshake.sid });
    assert.deepEqual(raw.messages, [], 'no second handshake');
    raw.text('2probe');
    assert.equal(await raw.receive('3'), '3probe');
    assert.deepEqual([(await poll).status, (await poll).body], [200, '6']);
    for (let more = 0; more < 3; more += 1) {
      assert.equal((await polling.get()).body, '6', 'as long as the switch has not come');
    }
    raw.text('5');
    raw.text('42["echo","switched"]');
    assert.equal(await raw.receive('42'), '42["echo","switched"]');
    assert.equal((await polling.get()).body, '{"code":3,"message":"Bad request"}');
    assert.equal((await context.server.stats()).sessions, 1);
  });

  tests.add('upgrade: a poll that waits is answered as well when the switch comes', async (context) => {
    const polling = await Polling.joined(context.server);
    const raw = await open(context, { sid: polling.handshake.sid });
    raw.text('2probe');
    await raw.receive('3');
    const poll = polling.get();
    raw.text('5');
    const { status } = await poll;
    assert.ok(status === 200 || status === 400, `${status}`);
    raw.text('42["echo",1]');
    await raw.receive('42');
  });

  tests.add('upgrade: what was queued before goes out after it', async (context) => {
    const polling = await Polling.joined(context.server);
    await polling.post('42["count",100]');
    const raw = await open(context, { sid: polling.handshake.sid });
    raw.text('2probe');
    await raw.receive('3');
    raw.text('5');
    for (let n = 0; n < 100; n += 1) {
      assert.equal(await raw.receive('42'), `42["counted",${n}]`);
    }
  });

  tests.add('upgrade: probe and switch in the segment of the handshake', async (context) => {
    const polling = await Polling.joined(context.server);
    const early = Buffer.concat([frame(0x1, Buffer.from('2probe')), frame(0x1, Buffer.from('5')), frame(0x1, Buffer.from('42["echo",1]'))]);
    const raw = await open(context, { sid: polling.handshake.sid }, { early });
    // Whether the probe is still answered does not matter to a client that did not wait for it.
    assert.equal(await raw.receive('42'), '42["echo",1]');
  });

  tests.add('upgrade: the probe fails, and polling goes on', async (context) => {
    const polling = await Polling.joined(context.server);
    for (const fail of [(raw) => raw.end(), (raw) => raw.text('2wrong'), (raw) => raw.text('42["echo","not yet"]'), (raw) => raw.binary([1])]) {
      const raw = await open(context, { sid: polling.handshake.sid });
      fail(raw);
      await raw.closed();
      await polling.post('42["echo","still polling"]');
      assert.deepEqual(await polling.receive('42'), ['42["echo","still polling"]']);
    }
    await polling.post('1');
  });

  tests.add('upgrade: the probe succeeds, then the WebSocket is cut, and polling goes on', async (context) => {
    const polling = await Polling.joined(context.server);
    const raw = await open(context, { sid: polling.handshake.sid });
    raw.text('2probe');
    await raw.receive('3');
    raw.end();
    await pause(50);
    await polling.post('42["echo","still polling"]');
    assert.ok((await polling.receive('42')).includes('42["echo","still polling"]'));
    await polling.post('1');
  });

  tests.add('upgrade: one that never comes is given up, and polling goes on', async (context) => {
    const polling = await Polling.joined(context.server);
    const silent = await open(context, { sid: polling.handshake.sid });
    await silent.closed(2_000);
    const raw = await open(context, { sid: polling.handshake.sid });
    raw.text('2probe');
    await raw.receive('3');
    await raw.closed(2_000);
    await polling.post('42["echo","still polling"]');
    assert.ok((await polling.receive('42')).includes('42["echo","still polling"]'));
    await polling.post('1');
  }, { server: { upgradeTimeout: 200 } });

  tests.add('upgrade: a second one at the same time is refused', async (context) => {
    const polling = await Polling.joined(context.server);
    const first = await open(context, { sid: polling.handshake.sid });
    first.text('2probe');
    await first.receive('3');
    const second = await open(context, { sid: polling.handshake.sid });
    assert.equal(second.status, 101, 'the refusal follows the handshake');
    await second.closed();
    first.text('5');
    first.text('42["echo",1]');
    assert.equal(await first.receive('42'), '42["echo",1]');
  });

  tests.add('upgrade: one after it has happened is refused', async (context) => {
    const polling = await Polling.joined(context.server);
    const first = await open(context, { sid: polling.handshake.sid });
    first.text('2probe');
    await first.receive('3');
    first.text('5');
    first.text('42["echo",1]');
    await first.receive('42');
    const second = await open(context, { sid: polling.handshake.sid });
    assert.equal(second.status, 101, 'the refusal follows the handshake');
    await second.closed();
    first.text('42["echo",2]');
    assert.equal(await first.receive('42'), '42["echo",2]');
  });

  tests.add('upgrade: of a session that began as WebSocket is refused', async (context) => {
    const raw = await open(context);
    const { sid } = JSON.parse((await raw.receive('0')).slice(1));
    raw.text('40');
    await raw.receive('40');
    const second = await open(context, { sid });
    if (!context.server.isReference) {
      await second.closed(); // The official server lets it wait for a probe until the upgrade timeout.
    }
    raw.text('42["echo",1]');
    assert.equal(await raw.receive('42'), '42["echo",1]');
  });

  for (const close of [false, true]) {
    const what = `the server disconnects${close ? ' and closes the connection' : ''}`;
    const order = (polling) => polling.post(`42["emit-and-disconnect-me",${close}]`);

    tests.add(`upgrade: ${what} before the probe, and the poll learns it`, async (context) => {
      const polling = await Polling.joined(context.server);
      await open(context, { sid: polling.handshake.sid });
      await order(polling);
      assert.deepEqual((await polling.receive('41')).filter((packet) => packet !== '6'), ['42["last words",1]', '41']);
      await polling.post('1');
    });

    tests.add(`upgrade: ${what} after the probe, and the WebSocket learns it`, async (context) => {
      const polling = await Polling.joined(context.server);
      const raw = await open(context, { sid: polling.handshake.sid });
      raw.text('2probe');
      await raw.receive('3');
      // From here on an official client polls no more.
      await order(polling);
      raw.text('5');
      assert.equal(await raw.receive('42'), '42["last words",1]');
      assert.equal(await raw.receive('41'), '41');
      if (close) {
        await raw.closed();
      }
    });
  }

  tests.add('upgrade: pings go on during it', async (context) => {
    const polling = await Polling.joined(context.server);
    const raw = await open(context, { sid: polling.handshake.sid });
    raw.text('2probe');
    await raw.receive('3');
    raw.text('5');
    for (let beat = 0; beat < 3; beat += 1) {
      await raw.receive('2');
      raw.text('3');
    }
    raw.text('42["echo",1]');
    assert.equal(await raw.receive('42'), '42["echo",1]');
  }, { server: quick });
}

/** Name, bytes, the close codes that say it right; 1005 and `undefined`: closed without saying why. */
function brokenFrames() {
  const text = (options) => frame(0x1, Buffer.from('42["echo",1]'), options);
  const protocol = [1002, 1005, undefined];
  const nonMinimal = Buffer.concat([Buffer.from([0x81, 0xfe, 0x00, 0x05]), Buffer.alloc(4), Buffer.from('42[1]')]);
  return [
    ['the first reserved bit', text({ rsv: 4 }), protocol],
    ['the second reserved bit', text({ rsv: 2 }), protocol],
    ['the third reserved bit', text({ rsv: 1 }), protocol],
    ['no mask', text({ masked: false }), protocol],
    ['a reserved data opcode', frame(0x3, Buffer.from('x')), protocol],
    ['a reserved control opcode', frame(0xb, Buffer.alloc(0)), protocol],
    ['a ping of 126 bytes', frame(0x9, Buffer.alloc(126)), protocol],
    ['a ping in fragments', frame(0x9, Buffer.alloc(1), { fin: false }), protocol],
    ['a continuation of nothing', frame(0x0, Buffer.from('x')), protocol],
    ['a message inside a message', Buffer.concat([frame(0x1, Buffer.from('4'), { fin: false }), text()]), protocol],
    ['a length of 2^63', Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), [1002, 1009, ...protocol]],
    ['a length of 2^40', Buffer.from([0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]), [1009, ...protocol]],
    ['text that is not UTF-8', frame(0x1, Buffer.from([0x34, 0x32, 0xff])), [1007, ...protocol]],
    ['half a character', frame(0x1, Buffer.from([0x34, 0x32, 0xe2, 0x82])), [1007, ...protocol]],
    ['a close code of one byte', frame(0x8, Buffer.from([3])), protocol],
    ['a close code nobody may send', frame(0x8, Buffer.from([0x03, 0xed])), protocol],
    ['a close reason that is not UTF-8', frame(0x8, Buffer.from([0x03, 0xe8, 0xff])), [1007, ...protocol]],
    ['a length in more bytes than needed', nonMinimal, protocol],
  ];
}

async function open(context, query, options) {
  const raw = await Raw.open(context.server, query, options);
  context.atEnd(() => raw.end());
  if (raw.status !== 101 && !query?.sid) {
    throw new Error(`the WebSocket handshake was refused: ${raw.head}`);
  }
  return raw;
}

async function joined(context, query) {
  const raw = await Raw.joined(context.server, query);
  context.atEnd(() => raw.end());
  return raw;
}
