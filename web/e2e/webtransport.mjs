// WebTransport with the official client in a real browser. The page comes from elsewhere, so its origin has to be named.
//
//   SOCKEYE_BIN, CHROMIUM: as in demo.mjs
//
// Ends with code 0 if all steps passed; otherwise says which step failed.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { DemoServer, freePort } from "./server.mjs";
import { WithoutUdp } from "./udp.mjs";

const binary = process.env.SOCKEYE_BIN ?? fileURLToPath(new URL("../../target/debug/sockeye", import.meta.url));
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const BROWSER_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const CERTIFICATE = /certificate for WebTransport: ([0-9a-f]{64})/;
const PASSWORD = "upstream";
const PATIENCE_MS = 15_000;
/** What nobody notices who waits for a page. */
const FIRST_EVENT_MS = 2_000;

const script = await readFile(new URL("../node_modules/socket.io-client/dist/socket.io.min.js", import.meta.url));
const site = createServer((request, response) => {
  const isScript = request.url === "/client.js";
  response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
  response.end(isScript ? script : "<!doctype html><title>WebTransport</title><script src='/client.js'></script>");
}).listen(0, "127.0.0.1");
await once(site, "listening");
const origin = `http://localhost:${site.address().port}`;

const port = await freePort();
const server = new DemoServer(binary, port, PASSWORD, ["--webtransport", "--origin", origin, "--max-sessions", "3"]);
const ways = await Promise.all(["swallowed", "refused"].map((how) => new WithoutUdp(port, how).start()));
let browser = null;
let step = "start";

try {
  await run("the server starts", () => server.start(CERTIFICATE));
  browser = await chromium.launch({ executablePath, args: BROWSER_FLAGS });
  await run("UDP is swallowed: the others work as ever", () => blocked(ways[0], 3));
  await run("UDP is refused: the others work as ever", () => blocked(ways[1], 0));
  const page = await visit(origin);
  await run("webtransport alone", () => alone(page));
  await run("polling is upgraded to webtransport", () => upgraded(page));
  await run("a websocket stays one", () => stays(page));
  await run("bytes go both ways", () => bytes(page));
  await run("one too many is told at once", () => tooMany(page));
  await run("a wrong name is refused", () => refused(page));
  await run("the server disconnects a socket", () => kicked(page));
  await run("the client disconnects", () => leaving(page));
  await run("a page of another origin is refused", () => stranger());
  await run("the end of the server is noticed", () => ending(page));
  console.log("all steps passed");
} catch (error) {
  process.exitCode = 1;
  console.error(`FAILED  ${step}\n${error.stack ?? error}`);
  if (server.output !== "") console.error(`--- the server said ---\n${server.output}`);
} finally {
  await browser?.close();
  site.close();
  ways.forEach((way) => way.stop());
  server.kill();
}

async function run(name, action) {
  step = name;
  await action();
  console.log(`ok      ${name}`);
}

/** A page that can open sockets, each with a name and with what has happened to it. */
async function visit(url, to = port) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.addInitScript(() => {
    window.tries = { begun: 0, over: 0 };
    window.WebTransport = class extends window.WebTransport {
      constructor(...words) {
        super(...words);
        window.tries.begun += 1;
        this.closed.catch(() => {}).then(() => (window.tries.over += 1));
      }
    };
  });
  await page.goto(url);
  const hash = [...Buffer.from(CERTIFICATE.exec(server.output)[1], "hex")];
  await page.evaluate(
    ([port, hash]) => {
      const serverCertificateHashes = [{ algorithm: "sha-256", value: new Uint8Array(hash) }];
      window.sockets = {};
      window.openSocket = (name, transports, path = "", auth = { nickname: name, key: name }) => {
        const socket = window.io(`http://127.0.0.1:${port}${path}`, {
          forceNew: true,
          reconnection: false,
          transports,
          tryAllTransports: true,
          auth,
          transportOptions: { webtransport: { serverCertificateHashes } },
        });
        socket.happened = [];
        const begun = performance.now();
        socket.onAny(() => (socket.firstAfter ??= performance.now() - begun));
        socket.on("connect_error", (error) => socket.happened.push(`refused: ${error.message}`));
        socket.on("disconnect", (reason) => socket.happened.push(`left: ${reason}`));
        socket.onAny((event, argument) => socket.happened.push(typeof argument === "string" ? `${event} ${argument}` : event));
        window.sockets[name] = socket;
      };
      window.carrier = (name) => window.sockets[name].connected && window.sockets[name].io.engine.transport.name;
    },
    [to, hash],
  );
  return page;
}

function open(page, ...words) {
  return page.evaluate((words) => window.openSocket(...words), words);
}

function carried(page, name, by) {
  return page.waitForFunction(([name, by]) => window.carrier(name) === by, [name, by]);
}

function happens(page, name, what) {
  return page.waitForFunction(([name, what]) => window.sockets[name].happened.includes(what), [name, what]);
}

async function eventually(question) {
  for (const end = performance.now() + PATIENCE_MS; !(await question()); ) {
    assert(performance.now() < end, `waited ${PATIENCE_MS} ms in vain`);
    await setTimeout(10);
  }
}

function echo(page, name, number) {
  return page.evaluate(([name, number]) => window.sockets[name].timeout(10_000).emitWithAck("echo", number), [name, number]);
}

async function blocked(way, connections) {
  const page = await visit(origin, way.port);
  await open(page, "Ida", ["polling", "websocket", "webtransport"]);
  await open(page, "Jon", ["polling", "webtransport"]);
  await open(page, "Kim", ["webtransport", "websocket"]);
  for (const name of ["Ida", "Jon"]) {
    await happens(page, name, "welcome");
    const after = await page.evaluate((name) => window.sockets[name].firstAfter, name);
    assert(after < FIRST_EVENT_MS, `the first event came to ${name} after ${after} ms`);
  }
  // At once, without waiting for UDP, but for the one who begins with it.
  await carried(page, "Ida", "websocket");
  assert.equal(await echo(page, "Jon", 45), 45);
  await page.waitForFunction(() => window.tries.over === 3);
  for (const [name, by] of [["Ida", "websocket"], ["Jon", "polling"], ["Kim", "websocket"]]) {
    await carried(page, name, by);
    assert.equal(await echo(page, name, 46), 46);
    const happened = await page.evaluate((name) => window.sockets[name].happened, name);
    assert(!happened.some((what) => /^(left|refused): /.test(what)), `${name}: ${happened}`);
  }
  assert.equal(await page.evaluate(() => window.tries.begun), 3);
  assert.equal(way.senders.size, connections);
  // A page that is closed says nothing by polling, and would be held against the next.
  await page.evaluate(() => Object.values(window.sockets).forEach((socket) => socket.disconnect()));
  await eventually(async () => /^sockeye_sessions 0$/m.test(await (await fetch(`${server.url}/metrics`)).text()));
  await page.context().close();
}

async function alone(page) {
  await open(page, "Ada", ["webtransport"]);
  await carried(page, "Ada", "webtransport");
  await happens(page, "Ada", "welcome");
  assert.equal(await echo(page, "Ada", 42), 42);
}

async function upgraded(page) {
  await open(page, "Bob", ["polling", "websocket", "webtransport"]);
  // What is asked while it changes over is answered all the same, and once.
  await page.waitForFunction(() => window.sockets.Bob.connected);
  const answers = await Promise.all(Array.from({ length: 50 }, (_, number) => echo(page, "Bob", number)));
  assert.deepEqual(answers, Array.from({ length: 50 }, (_, number) => number));
  await carried(page, "Bob", "webtransport");
  assert.equal(await echo(page, "Bob", 43), 43);
}

async function stays(page) {
  await open(page, "Eve", ["websocket", "webtransport"]);
  await carried(page, "Eve", "websocket");
  assert.equal(await echo(page, "Eve", 44), 44);
}

async function bytes(page) {
  const sizes = await page.evaluate(async () => {
    const { Ada, Bob, Eve } = window.sockets;
    const got = [Bob, Eve].map((socket) => new Promise((resolve) => socket.once("message", resolve)));
    const picture = { name: "x.png", type: "image/png", bytes: new Uint8Array(200_000).map((_, at) => at % 251) };
    await Ada.timeout(10_000).emitWithAck("message", { to: { room: "lobby" }, text: "look", picture });
    const received = await Promise.all(got);
    return received.map(({ picture: { bytes } }) => new Uint8Array(bytes).filter((byte, at) => byte === at % 251).length);
  });
  assert.deepEqual(sizes, [200_000, 200_000]);
}

async function tooMany(page) {
  await open(page, "Fay", ["webtransport"]);
  await happens(page, "Fay", "refused: webtransport error");
  await page.evaluate(() => window.sockets.Eve.disconnect());
  await happens(page, "Eve", "left: io client disconnect");
}

async function refused(page) {
  await open(page, "none", ["webtransport"], "", { nickname: "", key: "x" });
  await happens(page, "none", "refused: invalid nickname");
  await page.evaluate(() => window.sockets.none.io.engine.close());
}

async function kicked(page) {
  await page.waitForFunction(() => window.sockets.none.io.engine.readyState === "closed");
  await open(page, "admin", ["webtransport"], "/admin", { password: "upstream" });
  await carried(page, "admin", "webtransport");
  await page.evaluate(() => window.sockets.admin.timeout(10_000).emitWithAck("kick", "Bob"));
  await happens(page, "Bob", "goodbye kicked");
  await happens(page, "Bob", "left: io server disconnect");
}

async function leaving(page) {
  await page.evaluate(() => window.sockets.admin.disconnect());
  await open(page, "Gil", ["webtransport"]);
  await carried(page, "Gil", "webtransport");
  await happens(page, "Ada", "person");
  // As when a tab is closed: nothing is said but by QUIC.
  await page.evaluate(() => window.sockets.Gil.io.engine.close());
  await happens(page, "Ada", "left Gil");
}

async function stranger() {
  const page = await visit(origin.replace("localhost", "127.0.0.1"));
  await open(page, "Mal", ["webtransport"]);
  await happens(page, "Mal", "refused: webtransport error");
  await page.context().close();
}

async function ending(page) {
  await server.stop();
  await page.waitForFunction(() => window.sockets.Ada.happened.some((what) => what.startsWith("left: transport ")));
}
