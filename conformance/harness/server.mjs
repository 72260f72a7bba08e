// Starts the server under test, gives it orders, and asks what it holds.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { within } from './time.mjs';

const REFERENCE = fileURLToPath(new URL('../reference-server.mjs', import.meta.url));

/** Which server the tests talk to: the official one, or the program at `program`. */
export class Subject {
  constructor({ reference, program }) {
    this.isReference = reference;
    this.command = reference ? [process.execPath, REFERENCE] : [program];
  }

  /** `options` are those of the server, in camel case: `{ pingInterval: 300 }`. */
  async start(options = {}) {
    const flags = Object.entries(options).flatMap(([name, value]) => [`--${kebab(name)}`, String(value)]);
    const [program, ...args] = this.command;
    const child = spawn(program, [...args, ...flags], { stdio: ['pipe', 'pipe', 'inherit'] });
    const server = new Server(child, options, this);
    const first = await within(10_000, server.nextLine(), 'the server to start');
    const port = /^listening (\d+)$/.exec(first)?.[1];
    if (!port) {
      throw new Error(`the server said "${first}" instead of its port`);
    }
    server.port = Number(port);
    return server;
  }
}

export class Server {
  constructor(child, options, subject) {
    this.child = child;
    this.options = options;
    this.subject = subject;
    this.isReference = subject.isReference;
    this.exited = once(child, 'exit');
    this.lines = [];
    this.waiting = [];
    createInterface({ input: child.stdout }).on('line', (line) => {
      const resolve = this.waiting.shift();
      resolve ? resolve(line) : this.lines.push(line);
    });
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  get isAlive() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** What the server holds: sessions, sockets, rooms. */
  async stats() {
    this.child.stdin.write('stats\n');
    return JSON.parse(await within(5_000, this.nextLine(), 'the statistics of the server'));
  }

  /** Shuts down as an operator would. */
  async close() {
    this.child.stdin.write('close\n');
    await within(10_000, this.exited, 'the server to shut down');
  }

  /** Ends it at once, as a crash would. */
  async kill() {
    if (this.isAlive) {
      this.child.kill('SIGKILL');
      await this.exited;
    }
  }

  /** A new server with the same options on the same port. */
  async restart() {
    await this.kill();
    return this.subject.start({ ...this.options, port: this.port });
  }

  nextLine() {
    const line = this.lines.shift();
    if (line !== undefined) {
      return Promise.resolve(line);
    }
    const gone = this.exited.then(([code, signal]) => {
      throw new Error(`the server ended (${code ?? signal})`);
    });
    return Promise.race([new Promise((resolve) => this.waiting.push(resolve)), gone]);
  }
}

function kebab(name) {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
