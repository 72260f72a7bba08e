// Rooms, and every way to choose who receives an event.

import assert from 'node:assert/strict';
import { next } from '../harness/time.mjs';

export default function rooms(tests) {
  tests.eachTransport('to everyone, to a room, to several rooms, to one socket', async (context) => {
    const crowd = await Crowd.gather(context, { a: ['red'], b: ['red', 'blue'], c: ['blue'], d: [] });
    await crowd.expect({}, 'abcd');
    await crowd.expect({ to: ['red'] }, 'ab');
    await crowd.expect({ to: ['red', 'blue'] }, 'abc');
    await crowd.expect({ to: ['nobody here'] }, '');
    await crowd.expect({ to: [crowd.d.id] }, 'd');
    await crowd.expect({ to: [crowd.a.id, crowd.d.id, 'blue'] }, 'abcd');
    await crowd.expect({ to: [crowd.a.id, 'red'] }, 'ab');
  });

  tests.eachTransport('except rooms and sockets', async (context) => {
    const crowd = await Crowd.gather(context, { a: ['red'], b: ['red', 'blue'], c: ['blue'], d: [] });
    await crowd.expect({ except: ['red'] }, 'cd');
    await crowd.expect({ to: ['red'], except: ['blue'] }, 'a');
    await crowd.expect({ to: ['red', 'blue'], except: [crowd.b.id] }, 'ac');
    await crowd.expect({ except: ['red', 'blue', 'nobody here'] }, 'd');
    await crowd.expect({ to: ['red'], except: ['red'] }, '');
  });

  tests.eachTransport('a socket that sends leaves itself out', async (context) => {
    const crowd = await Crowd.gather(context, { a: ['red'], b: ['red', 'blue'], c: ['blue'], d: [] });
    await crowd.expect({ by: 'socket' }, 'bcd');
    await crowd.expect({ by: 'socket', to: ['red'] }, 'b');
    await crowd.expect({ by: 'socket', to: [crowd.a.id] }, '');
    await crowd.expect({ by: 'socket', to: ['red', 'blue'], except: ['blue'] }, '');
    await crowd.expect({ by: 'socket', except: ['blue'], local: true }, 'd');
  });

  tests.eachTransport('binary data reaches everyone in a room', async (context) => {
    const crowd = await Crowd.gather(context, { a: ['red'], b: ['red'], c: [] });
    await crowd.expect({ to: ['red'] }, 'ab', Buffer.from([1, 2, 3]), { deep: [Buffer.alloc(0)] });
    await crowd.expect({}, 'abc', Buffer.from([4]));
  });

  tests.eachTransport('joining and leaving', async (context) => {
    const socket = await context.connected();
    const rooms = () => socket.emitWithAck('rooms');
    assert.deepEqual(await rooms(), []);
    await socket.emitWithAck('join', ['one', 'two']);
    await socket.emitWithAck('join', ['two']);
    await socket.emitWithAck('join', ['', 'é "quoted"']);
    assert.deepEqual(await rooms(), ['', 'one', 'two', 'é "quoted"']);
    await socket.emitWithAck('leave', 'one');
    await socket.emitWithAck('leave', 'never joined');
    assert.deepEqual(await rooms(), ['', 'two', 'é "quoted"']);
  });

  tests.eachTransport('many sockets are made to join, leave and disconnect', async (context) => {
    const crowd = await Crowd.gather(context, { a: ['red'], b: ['red', 'blue'], c: [] });
    await crowd.a.emitWithAck('all-join', { to: ['red'] }, ['vip', 'news']);
    await crowd.expect({ to: ['vip'] }, 'ab');
    await crowd.a.emitWithAck('all-leave', { to: ['blue'] }, ['vip']);
    await crowd.expect({ to: ['vip'] }, 'a');
    const gone = next(crowd.b, 'disconnect');
    crowd.a.emit('all-disconnect', { to: ['blue'] }, false);
    assert.deepEqual((await gone)[0], 'io server disconnect');
    assert.deepEqual(await crowd.a.emitWithAck('fetch', { to: ['red'] }), [{ id: crowd.a.id, rooms: ['news', 'red', 'vip'], name: null }]);
  });

  tests.eachTransport('sockets are fetched with their rooms and data', async (context) => {
    const crowd = await Crowd.gather(context, { a: ['red'], b: ['red', 'blue'], c: [] });
    await crowd.b.emitWithAck('name', { first: 'Ada' });
    const entry = (socket, rooms, name = null) => ({ id: socket.id, rooms, name });
    const sorted = (...entries) => entries.sort((x, y) => (x.id < y.id ? -1 : 1));
    const [a, b, c] = [entry(crowd.a, ['red']), entry(crowd.b, ['blue', 'red'], { first: 'Ada' }), entry(crowd.c, [])];
    assert.deepEqual(await crowd.a.emitWithAck('fetch', {}), sorted(a, b, c));
    assert.deepEqual(await crowd.a.emitWithAck('fetch', { to: ['red'], except: ['blue'] }), [a]);
    assert.deepEqual(await crowd.a.emitWithAck('fetch', { to: ['nobody here'] }), []);
  });

  tests.eachTransport('a broadcast gathers acknowledgements', async (context) => {
    const crowd = await Crowd.gather(context, { a: ['red'], b: ['red'], c: [] });
    Object.entries(crowd.members).forEach(([name, socket]) => socket.on('vote', (what, ack) => ack(`${name} ${what}`)));
    const vote = (where, timeout) => acknowledged(crowd.a, 'send-ack', where, timeout, 'vote', 'yes');
    assert.deepEqual(await vote({ to: ['red'] }, 5_000), [false, ['a yes', 'b yes']]);
    assert.deepEqual(await vote({}, 5_000), [false, ['a yes', 'b yes', 'c yes']]);
    assert.deepEqual(await vote({ to: ['nobody here'] }, 5_000), [false, []]);
    crowd.c.off('vote');
    assert.deepEqual(await vote({}, 200), [true, ['a yes', 'b yes']]);
  });

  tests.eachTransport('the same room in two namespaces is two rooms', async (context) => {
    const crowd = await Crowd.gather(context, { a: ['red'] });
    const custom = await context.connected('/custom');
    await custom.emitWithAck('join', ['red']);
    const strangers = [];
    custom.onAny((event) => strangers.push(event));
    await crowd.expect({ to: ['red'] }, 'a');
    await crowd.expect({}, 'a');
    await custom.emitWithAck('rooms');
    assert.deepEqual(strangers, []);
  });

  tests.eachTransport('rooms are left with the socket, and known until the farewell', async (context) => {
    const crowd = await Crowd.gather(context, { a: ['red', 'blue'], b: ['red'] });
    const id = crowd.a.id;
    crowd.a.disconnect();
    assert.deepEqual(await context.farewell(id), { reason: 'client namespace disconnect', rooms: ['blue', 'red'] });
    assert.deepEqual((await crowd.b.emitWithAck('fetch', { to: ['red'] })).map((socket) => socket.id), [crowd.b.id]);
  });
}

/** Named clients in rooms. */
class Crowd {
  /** `members`: name → rooms. */
  static async gather(context, members) {
    const crowd = new Crowd();
    crowd.members = {};
    await Promise.all(Object.entries(members).map(async ([name, rooms]) => {
      const socket = await context.connected();
      await socket.emitWithAck('join', rooms);
      crowd.members[name] = socket;
    }));
    return Object.assign(crowd, crowd.members);
  }

  /** Member `a` sends `args`; exactly the members of `names` receive them, each once. */
  async expect(where, names, ...args) {
    const received = [];
    const listeners = Object.entries(this.members).map(([name, socket]) => {
      const listener = (...got) => {
        received.push(name);
        assert.deepEqual(got, args);
      };
      socket.on('news', listener);
      return () => socket.off('news', listener);
    });
    this.a.emit('aim', where, 'news').emit('fire', ...args);
    await this.settle();
    listeners.forEach((remove) => remove());
    assert.equal(received.sort().join(''), names, `receivers of ${JSON.stringify(where)}`);
  }

  /** Everything sent to the members before has reached them: their queues are in order. */
  async settle() {
    await this.a.emitWithAck('rooms');
    await Promise.all(Object.values(this.members).map((socket) => socket.emitWithAck('rooms')));
  }
}

function acknowledged(socket, event, ...args) {
  return new Promise((resolve) => socket.emit(event, ...args, (...values) => resolve(values)));
}
