// WebTransport with the official client in a real browser. The page comes from elsewhere, so its origin has to be named.
//
//   SOCKEYE_BIN, CHROMIUM: as in demo.mjs
//
// Ends with code 0 if all steps passed; otherwise says which step failed.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { DemoServer, freePort } from "./server.mjs";

const binary = process.env.SOCKEYE_BIN ?? fileURLToPath(new URL("../../target/debug/sockeye", import.meta.url));
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const BROWSER_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const CERTIFICATE = /certificate for WebTransport: ([0-9a-f]{64})/;
const PASSWORD = "upstream";
const PATIENCE_MS = 15_000;

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
let browser = null;
let step = "start";

try {
  await run("the server starts", () => server.start(CERTIFICATE));
  browser = await chromium.launch({ executablePath, args: BROWSER_FLAGS });
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
  server.kill();
}

async function run(name, action) {
  step = name;
  await action();
  console.log(`ok      ${name}`);
}

/** A page that can open sockets, each with a name and with what has happened to it. */
async function visit(url) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(PATIENCE_MS);
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
          auth,
          transportOptions: { webtransport: { serverCertificateHashes } },
        });
        socket.happened = [];
        socket.on("connect_error", (error) => socket.happened.push(`refused: ${error.message}`));
        socket.on("disconnect", (reason) => socket.happened.push(`left: ${reason}`));
        socket.onAny((event, argument) => socket.happened.push(typeof argument === "string" ? `${event} ${argument}` : event));
        window.sockets[name] = socket;
      };
      window.carrier = (name) => window.sockets[name].connected && window.sockets[name].io.engine.transport.name;
    },
    [port, hash],
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

function echo(page, name, number) {
  return page.evaluate(([name, number]) => window.sockets[name].timeout(10_000).emitWithAck("echo", number), [name, number]);
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
