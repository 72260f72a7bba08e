// Socket.IO packets that are wrong: the connection ends, or the packet is ignored, as with the official server;
// nobody else notices, and nothing stays behind.

import assert from 'node:assert/strict';
import { Polling, Raw } from '../harness/raw.mjs';
import { within } from '../harness/time.mjs';

const placeholder = (num) => `{"_placeholder":true,"num":${num}}`;

/** After joining the main namespace; strings are text messages, arrays of numbers binary ones. */
const fatal = {
  'an unknown type': ['49'],
  'a type that is no digit': ['4x'],
  'no type': ['4'],
  'a second CONNECT': ['40'],
  'a second CONNECT with auth': ['40{"token":1}'],
  'a CONNECT with a list': ['40/custom,[1]'],
  'a CONNECT with bad JSON': ['40/custom,{bad'],
  'a DISCONNECT with data': ['41{"a":1}'],
  'an event for a namespace not joined': ['42/custom,["echo",1]'],
  'an event for an unknown namespace': ['42/unknown,["echo",1]'],
  'an answer for a namespace not joined': ['43/custom,1[1]'],
  'a DISCONNECT for a namespace not joined': ['41/custom,'],
  'an event that is an empty list': ['42[]'],
  'an event that is an object': ['42{}'],
  'an event that is a text': ['42"echo"'],
  'an event that is null': ['42null'],
  'an event named by null': ['42[null]'],
  'an event named by an object': ['42[{}]'],
  'an event named by an object with toString': ['42[{"toString":"foo"}]'],
  'an event named by a list': ['42[["echo"]]'],
  'an event named by true': ['42[true]'],
  'bad JSON': ['42["echo"'],
  'bad JSON for an event without a handler': ['42["nobody listens",{]'],
  'bad JSON deep inside': ['42["echo",{"a":[1,2,{"b":nul}]}]'],
  'something after the JSON': ['42["echo"]x'],
  'two lists': ['42["echo"]["echo"]'],
  'a number with a leading zero': ['42["echo",01]'],
  'a control character in a text': ['42["echo","\u0001"]'],
  'an unknown escape': ['42["echo","\\x"]'],
  'NaN': ['42["echo",NaN]'],
  'an id that is no number': ['42abc["echo"]'],
  'an id with a sign': ['42-1["echo"]'],
  'an answer that is no list': ['431{"a":1}'],
  'a reserved name: connect': ['42["connect"]'],
  'a reserved name: connect_error': ['42["connect_error",{}]'],
  'a reserved name: disconnect': ['42["disconnect","why"]'],
  'a reserved name: disconnecting': ['42["disconnecting","why"]'],
  'a reserved name: newListener': ['42["newListener",1]'],
  'a reserved name: removeListener': ['42["removeListener",1]'],
  'a reserved name with an attachment': ['451-["disconnect",' + placeholder(0) + ']', [1]],
  'binary data without a packet': [[1, 2, 3]],
  'an attachment too many': ['451-["echo",' + placeholder(0) + ']', [1], [2]],
  'text instead of an attachment': ['451-["echo",' + placeholder(0) + ']', '42["echo",1]'],
  'a second binary packet instead of an attachment': ['451-["echo",' + placeholder(0) + ']', '451-["echo",' + placeholder(0) + ']'],
  'no count of attachments': ['45["echo",' + placeholder(0) + ']'],
  'a count without a dash': ['451["echo",' + placeholder(0) + ']'],
  'a negative count': ['45-1-["echo"]'],
  'a count that is no number': ['45x-["echo"]'],
  'a count of zero, then data': ['450-["echo"]', [1]],
  'a count above the limit': ['4511-["echo",' + placeholder(0) + ']'],
  'a huge count': ['4599999999999999999999-["echo"]'],
  'a placeholder out of range': ['451-["echo",' + placeholder(1) + ']', [1]],
  'a placeholder below zero': ['451-["echo",' + placeholder(-1) + ']', [1]],
  'a placeholder that is a text': ['451-["echo",' + placeholder('"splice"') + ']', [1]],
  'a placeholder that is null': ['451-["echo",' + placeholder('null') + ']', [1]],
  'a placeholder of 2^64': ['451-["echo",' + placeholder('18446744073709551616') + ']', [1]],
  'a placeholder without a number': ['451-["echo",{"_placeholder":true}]', [1]],
  'an answer with a bad placeholder': ['461-1[' + placeholder(3) + ']', [1]],
};

/** The same, but the connection lives on. */
const harmless = {
  'an answer nobody waits for': ['43999["x"]'],
  'a binary answer nobody waits for': ['461-999[' + placeholder(0) + ']', [1]],
  'an event without a handler': ['42["nobody listens",1,2]'],
  'an event named by a number': ['42[7,"x"]'],
  'an event with white space': ['42[ "echo" , { "a" : [ ] } ]'],
  'an event with duplicate keys': ['42["echo",{"a":1,"a":2}]'],
  'an event with a surplus attachment': ['452-["nobody listens",' + placeholder(0) + ']', [1], [2]],
  'an attachment used twice': ['451-["echo",' + placeholder(0) + ',' + placeholder(0) + ']', [1]],
  'an event asking for an answer where none is given': ['425["nobody listens"]'],
  'a placeholder where there are no attachments': ['42["echo",' + placeholder(0) + ']'],
  'an empty name': ['42[""]'],
  'a name like a property': ['42["__proto__",{"__proto__":1}]'],
};

/** The official server lets these pass, or waits for more; a stricter one may end the connection. */
const unclear = {
  'an event without arguments': ['42'],
  'an answer without data': ['431'],
  'a count with an exponent': ['451e1-["echo"]'],
  'a placeholder that is no integer': ['451-["echo",' + placeholder(0.5) + ']', [1]],
  'an answer with a huge id': ['43184467440737095516159["x"]'],
  'an answer without an id': ['43["x"]'],
  'a binary answer without data': ['461-1', [1]],
};

/** The official server lets these pass by mistake; Sockeye does not, on purpose. */
const stricter = {
  'CLOSE on a WebSocket': '1',
  'a blank before the JSON': '42 ["echo",1]',
  'a blank after DISCONNECT': '41 ',
  'an id beyond 64 bits': '4218446744073709551616["echo-ack",1]',
  'an answer that lacks its id': '43["x"]',
  'a count with a zero in front': '4501-["echo",' + placeholder(0) + ']',
};

/** Before any namespace is joined. */
const early = {
  'an event before CONNECT': ['42["echo",1]'],
  'a binary event before CONNECT': ['451-["echo",' + placeholder(0) + ']', [1]],
  'an answer before CONNECT': ['431[1]'],
  'a DISCONNECT before CONNECT': ['41'],
  'binary data before CONNECT': [[1]],
  'an event before CONNECT, then CONNECT': ['42["echo",1]', '40'],
  'a CONNECT with bad JSON': ['40{bad'],
  'a CONNECT with a text': ['40"token"'],
};

export default function wirePackets(tests) {
  for (const [name, message] of Object.entries(stricter)) {
    tests.add(`strict: ${name}`, async (context) => {
      const raw = await Raw.joined(context.server);
      raw.text(message);
      if (context.server.isReference) {
        await assert.rejects(raw.closed(200), /in vain/);
        raw.end();
      }
      await raw.closed();
    });
  }
  for (const [name, messages] of Object.entries(fatal)) {
    tests.add(`websocket: ${name}`, (context) => ends(context, messages, true));
    tests.add(`polling: ${name}`, (context) => endsPolling(context, messages, true));
  }
  for (const [name, messages] of Object.entries(early)) {
    tests.add(`websocket: ${name}`, (context) => ends(context, messages, false));
    tests.add(`polling: ${name}`, (context) => endsPolling(context, messages, false));
  }
  for (const [name, messages] of Object.entries(harmless)) {
    tests.add(`harmless: ${name}`, async (context) => {
      const raw = await Raw.joined(context.server);
      context.atEnd(() => raw.end());
      messages.forEach((message) => send(raw, message));
      raw.text('421["echo-ack","still here"]');
      assert.equal(await raw.receive('431'), '431["still here"]');
    });
  }

  for (const id of ['1', '01844073709551616', '18446744073709551616']) {
    tests.add(`an id of ${id.length} digits where none belongs is passed over`, async (context) => {
      const raw = await Raw.joined(context.server);
      context.atEnd(() => raw.end());
      raw.text(`40/custom,${id}{"token":"x"}`);
      await raw.receive('40/custom,{');
      raw.text(`41/custom,${id}`);
      // Over there a DISCONNECT is carried out a moment later than it is read.
      raw.text('421["echo-ack","still here"]');
      assert.equal(await raw.receive('431'), '431["still here"]');
      raw.text(`40/custom,${id}`);
      await raw.receive('40/custom,{');
    });
  }

  for (const [name, messages] of Object.entries(unclear)) {
    tests.add(`nobody else notices: ${name}`, async (context) => {
      const witness = await context.connected();
      const raw = await Raw.joined(context.server);
      context.atEnd(() => raw.end());
      messages.forEach((message) => send(raw, message));
      raw.text('421["echo-ack",1]');
      await Promise.race([raw.receive('431').catch(() => {}), raw.closed().catch(() => {})]);
      assert.equal(await witness.emitWithAck('echo-ack', 'untouched'), 'untouched');
    });
  }

  for (const depth of [100, 100_000]) {
    tests.add(`JSON ${depth} deep does no harm`, async (context) => {
      if (context.server.isReference && depth > 1_000) {
        return; // It dies of it.
      }
      const witness = await context.connected();
      for (const name of ['echo', 'nobody listens']) {
        const raw = await Raw.joined(context.server);
        context.atEnd(() => raw.end());
        raw.text(`42["${name}",${'['.repeat(depth)}${']'.repeat(depth)}]`);
        raw.text('421["echo-ack",1]');
        await Promise.race([raw.receive('431').catch(() => {}), raw.closed().catch(() => {})]);
      }
      assert.equal(await witness.emitWithAck('echo-ack', 'untouched'), 'untouched');
    });
  }

  tests.add('attachments announced and never sent are forgotten with the connection', async (context) => {
    const raw = await Raw.joined(context.server);
    raw.text(`4510-["echo",${Array.from({ length: 10 }, (_, n) => placeholder(n)).join()}]`);
    Array.from({ length: 9 }, () => raw.binary(Buffer.alloc(100_000)));
    raw.text('2');
    await raw.closed();
  });

  tests.add('a thousand connections that break the protocol leave nothing behind', async (context) => {
    const witness = await context.connected();
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(Array.from({ length: 100 }, async (_, n) => {
        const raw = await Raw.joined(context.server);
        const [messages] = Object.values(fatal).slice(n % Object.keys(fatal).length);
        messages.forEach((message) => send(raw, message));
        await raw.closed(20_000);
      }));
    }
    assert.equal(await witness.emitWithAck('echo-ack', 'untouched'), 'untouched');
  }, { deadline: 60_000 });
}

async function ends(context, messages, join) {
  const witness = await context.connected();
  const raw = join ? await Raw.joined(context.server) : await Raw.open(context.server);
  context.atEnd(() => raw.end());
  messages.forEach((message) => send(raw, message));
  await raw.closed();
  assert.equal(await witness.emitWithAck('echo-ack', 'untouched'), 'untouched');
}

async function endsPolling(context, messages, join) {
  const witness = await context.connected();
  const polling = join ? await Polling.joined(context.server) : await Polling.open(context.server);
  const texts = messages.map((message) => (typeof message === 'string' ? message : `b${Buffer.from(message).toString('base64')}`));
  const answer = await polling.post(texts.join('\x1e'));
  // Ours tells in its answer which limit was met; the official server says nothing.
  if (answer.status === 400) assert.equal(JSON.parse(answer.body).code, 3, answer.body);
  else assert.deepEqual([answer.status, answer.body], [200, 'ok']);
  await within(3_000, polling.gone(), 'the session to end');
  assert.equal(await witness.emitWithAck('echo-ack', 'untouched'), 'untouched');
}

function send(raw, message) {
  typeof message === 'string' ? raw.text(message) : raw.binary(message);
}
