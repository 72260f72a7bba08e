// A way to a server on which UDP is lost, as behind many firewalls.

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer } from "node:net";

/** Passes TCP on to `port`. UDP is swallowed, or refused by the system, as nobody listens. */
export class WithoutUdp {
  /** Who has sent something by UDP: one for each connection that was tried. */
  senders = new Set();
  #tcp = createServer();
  #udp = createSocket("udp4");
  #swallows;

  constructor(port, how) {
    this.#swallows = how === "swallowed";
    this.#tcp.on("connection", (client) => {
      const server = connect(port, "127.0.0.1");
      for (const [from, to] of [[client, server], [server, client]]) {
        from.pipe(to);
        from.on("error", () => to.destroy());
        from.on("close", () => to.destroy());
      }
    });
    this.#udp.on("message", (_, { port }) => this.senders.add(port));
  }

  async start() {
    this.#tcp.listen(0, "127.0.0.1");
    await once(this.#tcp, "listening");
    if (this.#swallows) {
      this.#udp.bind(this.port, "127.0.0.1");
      await once(this.#udp, "listening");
    }
    return this;
  }

  get port() {
    return this.#tcp.address().port;
  }

  stop() {
    this.#tcp.close();
    this.#udp.close();
  }
}
