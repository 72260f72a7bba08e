// One page with the official client: what it can do, and what the browser says about it.

import assert from "node:assert/strict";

/** A page, or a frame of it, with what the browser has complained about. */
export class Page {
  complaints = [];

  constructor(tab, frame) {
    this.tab = tab;
    this.frame = frame;
    tab.on("console", (message) => message.type() === "error" && this.complaints.push(message.text()));
  }

  close() {
    return this.tab.context().close();
  }

  /** Connects, and gives what was answered, by what it was carried; or how it was refused. */
  meets({ url }, options, upgraded = false) {
    return this.frame.evaluate(
      ([url, options, upgraded]) =>
        new Promise((resolve, reject) => {
          const socket = window.io(url, { forceNew: true, reconnection: false, timeout: 10_000, ...options });
          const { engine } = socket.io;
          socket.on("connect_error", ({ message, description, context }) => {
            const xhr = context instanceof XMLHttpRequest ? { status: description, body: context.responseText } : {};
            resolve({ refused: message, ...xhr });
          });
          const talk = async () => {
            const answer = await socket.timeout(10_000).emitWithAck("echo-ack", "grüß dich");
            resolve({ carrier: engine.transport.name, answer });
            socket.disconnect();
          };
          const talking = () => talk().catch(reject);
          // The upgrade may be over before the namespace has let us in.
          const waits = () => upgraded && engine.transport.name === "polling";
          socket.on("connect", () => (waits() ? engine.once("upgrade", talking) : talking()));
          setTimeout(() => reject(new Error("neither connected nor refused")), 15_000);
        }),
      [url, options, upgraded],
    );
  }

  /** Status and body, as far as the page may know them. */
  reads(uri, { times = 1, body, ...options } = {}) {
    return this.frame.evaluate(
      async ([uri, options, body]) => {
        try {
          const response = await fetch(uri, { ...options, body: body?.text.repeat(body.times) });
          return { status: response.status, body: await response.text() };
        } catch (error) {
          return { blocked: error.message };
        }
      },
      [uri, options, body && { text: body, times }],
    );
  }

  /** The browser said so, on the console: pages are not told. */
  complained(what) {
    assert.match(this.complaints.join("\n"), what);
    this.complaints.length = 0;
  }

  /** From now on the answers to what the browser asks on its own, before requests that are not simple. */
  async preflights() {
    const answers = [];
    const network = await this.tab.context().newCDPSession(this.tab);
    network.on("Network.responseReceived", ({ type, response }) => type === "Preflight" && answers.push(response));
    await network.send("Network.enable");
    return answers;
  }

  /** From now on what is sent to `server`; the function gives it, with the cookies that were really sent. */
  records({ url }) {
    const requests = [];
    this.tab.on("request", (request) => request.url().startsWith(url) && requests.push(request));
    const described = async (request) => ({ url: request.url(), cookie: (await request.allHeaders()).cookie });
    return () => Promise.all(requests.map(described));
  }
}
