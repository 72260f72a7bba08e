// A small test runner: tests one after the other, each with a deadline, each leaving nothing behind.

import { io as connect4 } from 'socket.io-client';
import { next, until, within } from './time.mjs';

const DEADLINE = 30_000;

/** The ways a client may travel; `upgrade` starts with polling and goes on with WebSocket. */
export const transports = { polling: ['polling'], websocket: ['websocket'], upgrade: ['polling', 'websocket'] };

/** Collects the tests of all suites. */
export class Tests {
  constructor() {
    this.list = [];
    this.group = '';
  }

  /** Options: `server` (options of a server of its own), `deadline` in milliseconds. */
  add(name, body, options = {}) {
    this.list.push({ name: `${this.group}: ${name}`, body, ...options });
  }

  /** The same test over each way of travelling. */
  eachTransport(name, body, options = {}) {
    for (const way of Object.keys(transports)) {
      this.add(`${name} [${way}]`, (context) => body(Object.assign(context, { way })), options);
    }
  }
}

/** What a test is given: the server, and clients which are closed when it ends. */
export class Context {
  constructor(server) {
    this.server = server;
    /** Where clients connect: the server, or what stands before it. */
    this.url = server.url;
    this.way = 'websocket';
    this.closers = [];
  }

  /** An official client, not yet waited for. */
  client(path = '/', options = {}, connect = connect4) {
    const defaults = { transports: transports[this.way], forceNew: true, reconnection: false };
    const socket = connect(this.url + path, { ...defaults, ...options });
    this.closers.push(() => socket.disconnect());
    return socket;
  }

  /** An official client which is connected. */
  async connected(path, options, connect) {
    const socket = this.client(path, options, connect);
    const refused = new Promise((_, reject) => {
      socket.once('connect_error', (error) => reject(new Error(`could not connect: ${error.message} ${error.context?.statusText ?? ''}`)));
    });
    await Promise.race([next(socket, 'connect'), refused]);
    return socket;
  }

  /** Several connected clients. */
  all(n, path, options) {
    return Promise.all(Array.from({ length: n }, () => this.connected(path, options)));
  }

  /** Closes something when the test ends. */
  atEnd(close) {
    this.closers.push(close);
  }

  /** What the server saw when `id` left: `{ reason, rooms }`. */
  async farewell(id) {
    const witness = await this.connected('/', { transports: ['websocket'] });
    const seen = await until(() => witness.emitWithAck('left', id), `the server to notice that ${id} left`);
    witness.disconnect();
    return seen;
  }

  /** Closes every client, then waits until the server holds nothing any more. */
  async finish() {
    for (const close of this.closers.reverse()) {
      await close();
    }
    await this.forgotten();
  }

  /** Waits until the server holds nothing any more. */
  async forgotten() {
    let held;
    const empty = async () => {
      held = await this.server.stats();
      return Object.values(held).every((count) => count === 0);
    };
    await until(empty, () => `the server to forget everything; it holds ${JSON.stringify(held)}`);
  }
}

/** Runs the tests whose name contains `filter`; gives the number of failures. */
export async function runAll(tests, subject, filter) {
  const chosen = tests.list.filter((test) => test.name.includes(filter));
  const failed = [];
  let shared = await subject.start();
  for (const test of chosen) {
    const start = performance.now();
    const server = test.server ? await subject.start(test.server) : shared;
    const context = new Context(server);
    const error = await attempt(test, context);
    const took = `${Math.round(performance.now() - start)} ms`;
    console.log(error ? `FAIL ${test.name} (${took})\n${indented(error)}` : `ok   ${test.name} (${took})`);
    if (error) {
      failed.push(test.name);
    }
    if (test.server) {
      await context.server.kill();
    } else if (error) {
      // What a failed test left behind must not be held against the next one.
      await shared.kill();
      shared = await subject.start();
    }
  }
  await shared.kill();
  console.log(`\n${chosen.length - failed.length} of ${chosen.length} passed`);
  failed.forEach((name) => console.log(`  failed: ${name}`));
  return failed.length;
}

async function attempt(test, context) {
  let error;
  const deadline = test.deadline ?? DEADLINE;
  // An assertion in a listener is thrown into the event loop.
  let fail;
  const failed = new Promise((_, reject) => { fail = reject; });
  process.on('uncaughtException', fail);
  try {
    await within(deadline, Promise.race([test.body(context), failed]), 'the test to end');
  } catch (thrown) {
    error = thrown;
  }
  process.off('uncaughtException', fail);
  try {
    await within(deadline, context.finish(), 'the test to clean up');
  } catch (thrown) {
    error ??= thrown;
  }
  return error;
}

function indented(error) {
  return String(error.stack ?? error).split('\n').filter((line) => !line.includes('node:internal')).map((line) => `     ${line}`).join('\n');
}
