// Starts and stops the binary under test.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";

const START_MS = 10_000;
const STOP_MS = 15_000;

/** A port nobody listens on. */
export async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

export class DemoServer {
  #child = null;
  #output = "";

  constructor(binary, port, adminPassword, options = []) {
    this.binary = binary;
    this.port = port;
    this.adminPassword = adminPassword;
    this.options = options;
  }

  get url() {
    return `http://localhost:${this.port}`;
  }

  get output() {
    return this.#output;
  }

  /** Resolves when the server has printed its address, or what `greeting` asks for. */
  async start(greeting = new RegExp(this.url)) {
    const child = spawn(this.binary, ["serve", "--port", String(this.port), ...this.options], {
      env: { ...process.env, SOCKEYE_ADMIN_PASSWORD: this.adminPassword },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the server printed no address within ${START_MS} ms`)), START_MS);
      const finish = (settle, value) => {
        clearTimeout(timer);
        settle(value);
      };
      const read = (chunk) => {
        this.#output += chunk;
        if (greeting.test(this.#output)) finish(resolve);
      };
      child.stdout.on("data", read);
      child.stderr.on("data", read);
      child.once("error", (error) => finish(reject, new Error(`${this.binary} cannot be started: ${error.message}`)));
      child.once("exit", (code) => finish(reject, new Error(`the server ended at once with code ${code}:\n${this.#output}`)));
    });
  }

  /** Asks the server to end and checks that it does so properly. */
  async stop() {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    this.#child = null;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    const [code, signal] = await ended;
    clearTimeout(timer);
    this.#output = "";
    if (code !== 0) throw new Error(`the server ended with ${signal ?? `code ${code}`} instead of 0 after SIGTERM`);
  }

  /** For the end of a failed run: nothing may stay behind. */
  kill() {
    this.#child?.kill("SIGKILL");
  }
}
