// Pages of other origins in a real browser: what it sends, what it keeps from them, and what they can read.
//
//   SOCKEYE_BIN                    the server with its defaults      (default: target/debug/sockeye)
//   SOCKEYE_CONFORMANCE_SERVER     the server with origins           (default: target/debug/sockeye-conformance)
//   CHROMIUM                       as in demo.mjs
//
// Ends with code 0 if all steps passed; otherwise says which step failed.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { Subject } from "../../conformance/harness/server.mjs";
import { Page } from "./page.mjs";
import { DemoServer, freePort } from "./server.mjs";

const built = (name) => fileURLToPath(new URL(`../../target/debug/${name}`, import.meta.url));
const binary = process.env.SOCKEYE_BIN ?? built("sockeye");
const subject = new Subject({ program: process.env.SOCKEYE_CONFORMANCE_SERVER ?? built("sockeye-conformance") });
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const BROWSER_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const PATIENCE_MS = 15_000;
const KEY = { "x-key": "secret" };
const COOKIE = { withCredentials: true };
const BLOCKED = /blocked by CORS policy/;
const PREFLIGHT_BLOCKED = /Response to preflight request doesn't pass access control check/;
const HANDSHAKE_REFUSED = /Error during WebSocket handshake: Unexpected response code: 403/;

const script = await readFile(new URL("../node_modules/socket.io-client/dist/socket.io.min.js", import.meta.url), "utf8");
const documents = { "/client.js": script, "/": documentWith("client.js"), "/sandbox": `<!doctype html><iframe sandbox="allow-scripts" src="/"></iframe>` };
const [site, internet] = [await published(), await published()];
const home = originOf(site);
const foreign = home.replace("localhost", "127.0.0.1");
// Chromium takes what is at this address for a page from the Internet.
const farAway = `--ip-address-space-overrides=127.0.0.1:${internet.address().port}=public`;

const folder = await mkdtemp(join(tmpdir(), "sockeye-cors-"));
const servers = [];
let browser = null;
let step = "start";

try {
  // By default, for pages of `home`, the same for those with a key, for pages whose origin is "null".
  const closed = await demo();
  const open = await started({ origin: home, cookie: "io", maxPayload: 1_000 });
  const locked = await started({ origin: home, key: KEY["x-key"] });
  const nulls = await started({ origin: "null" });
  const crowded = await demo("--origin", home, "--max-sessions", "1");
  const inside = await started({ origin: originOf(internet) });
  browser = await chromium.launch({ executablePath, args: [...BROWSER_FLAGS, farAway] });

  await run("an allowed origin is served over polling and WebSocket", () => allowed(open));
  await run("a header of its own is asked for, and allowed", () => preflight(locked));
  await run("a foreign origin is kept out of polling", () => foreignPolling(open, closed));
  await run("a foreign origin that has to ask never gets to the server", () => foreignPreflight(locked));
  await run("a foreign origin is refused over WebSocket", () => foreignWebsocket(open, closed));
  await run("cookies come and go with credentials", () => credentials(open));
  await run("cookies stay at home without them", () => withoutCredentials(open));
  await run("credentials are not for any origin", () => anyOrigin());
  await run("errors are readable", () => errors(open, locked, crowded));
  await run("a body that is too long is answered readably", () => tooLong(open));
  await run("a foreign page reads no error", () => foreignErrors(open));
  await run("a sandboxed frame is nobody, and served as null", () => sandboxed(closed, open, nulls));
  await run("a page from a file is nobody, and served as null", () => fromFile(closed, open, nulls));
  await run("from the Internet into a private network the visitor decides", () => fromTheInternet(inside));
  console.log("all steps passed");
} catch (error) {
  process.exitCode = 1;
  console.error(`FAILED  ${step}\n${error.stack ?? error}`);
} finally {
  await browser?.close();
  site.close();
  internet.close();
  await Promise.all(servers.map((server) => server.kill()));
  await rm(folder, { recursive: true, force: true });
}

// --- the steps ---------------------------------------------------------------------------------------------------

async function allowed(open) {
  const page = await visit(home);
  for (const carrier of ["polling", "websocket"]) {
    assert.deepEqual(await page.meets(open, { transports: [carrier] }), { carrier, answer: "grüß dich" });
  }
  assert.equal((await page.meets(open, {}, true)).carrier, "websocket", "polling is upgraded");
  assert.deepEqual(page.complaints, []);
  await page.close();
}

async function preflight(locked) {
  const page = await visit(home);
  const preflights = await page.preflights();
  assert.equal((await page.meets(locked, { transports: ["polling"], extraHeaders: KEY })).answer, "grüß dich");
  assert.ok(preflights.length > 0, "the browser has not asked");
  for (const { status, headers } of preflights) {
    assert.equal(status, 204);
    assert.equal(headers["access-control-allow-origin"], home);
    assert.match(headers["access-control-allow-headers"], /x-key/);
  }
  assert.deepEqual(page.complaints, []);
  await page.close();
}

async function foreignPolling(...servers) {
  for (const [server, origin] of [[servers[0], foreign], [servers[1], foreign], [servers[1], home]]) {
    const page = await visit(origin);
    assert.deepEqual(await page.meets(server, { transports: ["polling"] }), { refused: "xhr poll error", status: 0, body: "" });
    page.complained(BLOCKED);
    await page.close();
  }
}

async function foreignPreflight(locked) {
  const before = (await locked.stats()).sessions;
  const page = await visit(foreign);
  const answer = await page.meets(locked, { transports: ["polling"], extraHeaders: KEY });
  assert.deepEqual(answer, { refused: "xhr poll error", status: 0, body: "" });
  page.complained(PREFLIGHT_BLOCKED);
  // The key was right: had the request been sent, there would be a session.
  assert.equal((await locked.stats()).sessions, before);
  await page.close();
}

async function foreignWebsocket(...servers) {
  for (const [server, origin] of [[servers[0], foreign], [servers[1], foreign], [servers[1], home]]) {
    const page = await visit(origin);
    assert.equal((await page.meets(server, { transports: ["websocket"] })).refused, "websocket error");
    page.complained(HANDSHAKE_REFUSED);
    await page.close();
  }
}

async function credentials(open) {
  const page = await visit(home);
  const requests = page.records(open);
  assert.equal((await page.meets(open, { transports: ["polling"], ...COOKIE })).answer, "grüß dich");
  const [first, ...rest] = await requests();
  const sid = /sid=([^&]+)/.exec(rest[0].url)[1];
  assert.equal(first.cookie, undefined);
  assert.ok(rest.length >= 3 && rest.every(({ cookie }) => cookie === `io=${sid}`), JSON.stringify(rest));
  assert.deepEqual(page.complaints, []);
  await page.close();
}

async function withoutCredentials(open) {
  const page = await visit(home);
  const requests = page.records(open);
  assert.equal((await page.meets(open, { transports: ["polling"] })).answer, "grüß dich");
  const seen = await requests();
  assert.ok(seen.length >= 3 && seen.every(({ cookie }) => cookie === undefined), JSON.stringify(seen));
  await page.close();
}

async function anyOrigin() {
  const everybody = await started({ origin: "*", cookie: "io" });
  const page = await visit(foreign);
  assert.equal((await page.meets(everybody, { transports: ["polling"] })).answer, "grüß dich");
  assert.equal((await page.meets(everybody, { transports: ["polling"], ...COOKIE })).status, 0);
  page.complained(/must not be the wildcard '\*' when the request's credentials mode is 'include'/);
  await page.close();
}

async function errors(open, locked, crowded) {
  const page = await visit(home);
  // The client itself shows the status and what was said.
  assert.deepEqual(await page.meets(locked, { transports: ["polling"], extraHeaders: { "x-key": "wrong" } }), refusal(403, 4, "no key"));
  await page.reads(`${crowded.url}/socket.io/?EIO=4&transport=polling`);
  assert.deepEqual(await page.meets(crowded, { transports: ["polling"] }), refusal(503, 4, "too many sessions"));
  for (const [query, code, message] of [
    ["transport=pigeon", 0, "Transport unknown"],
    ["transport=polling&sid=nobody", 1, "Session ID unknown"],
    ["transport=websocket", 3, "Bad request"],
  ]) {
    assert.deepEqual(await page.reads(`${open.url}/socket.io/?EIO=4&${query}`), { status: 400, body: JSON.stringify({ code, message }) });
  }
  const post = await page.reads(`${open.url}/socket.io/?EIO=4&transport=polling&sid=nobody`, { method: "POST", body: "40" });
  assert.deepEqual(post, { status: 400, body: `{"code":1,"message":"Session ID unknown"}` });
  page.complaints.forEach((complaint) => assert.doesNotMatch(complaint, BLOCKED));
  await page.close();
}

async function tooLong(open) {
  const page = await visit(home);
  for (const length of [1_001, 200_000, 20_000_000]) {
    const { body } = await page.reads(`${open.url}/socket.io/?EIO=4&transport=polling`);
    const uri = `${open.url}/socket.io/?EIO=4&transport=polling&sid=${JSON.parse(body.slice(1)).sid}`;
    assert.equal((await page.reads(uri, { method: "POST", body: "x", times: length })).status, 413, `${length} bytes`);
  }
  await page.close();
}

async function foreignErrors(open) {
  const page = await visit(foreign);
  const uri = `${open.url}/socket.io/?EIO=4&transport=polling&sid=nobody`;
  assert.deepEqual(await page.reads(uri), { blocked: "Failed to fetch" });
  page.complained(BLOCKED);
  await page.close();
}

async function sandboxed(closed, open, nulls) {
  const page = await visit(`${home}/sandbox`);
  const frame = page.tab.frames().find((frame) => frame.parentFrame() !== null);
  await asNobody(new Page(page.tab, frame), closed, open, nulls);
}

async function fromFile(closed, open, nulls) {
  await writeFile(join(folder, "client.js"), script);
  await writeFile(join(folder, "page.html"), documentWith("client.js"));
  await asNobody(await visit(pathToFileURL(join(folder, "page.html")).href), closed, open, nulls);
}

async function asNobody(page, closed, open, nulls) {
  assert.equal(await page.frame.evaluate(() => window.origin), "null");
  for (const server of [closed, open]) {
    assert.equal((await page.meets(server, { transports: ["polling"] })).status, 0);
    page.complained(/from origin 'null' has been blocked by CORS policy/);
    assert.equal((await page.meets(server, { transports: ["websocket"] })).refused, "websocket error");
    page.complained(HANDSHAKE_REFUSED);
  }
  for (const carrier of ["polling", "websocket"]) {
    assert.deepEqual(await page.meets(nulls, { transports: [carrier] }), { carrier, answer: "grüß dich" });
  }
  assert.equal((await page.meets(nulls, { transports: ["polling"], extraHeaders: KEY, ...COOKIE })).answer, "grüß dich");
  assert.deepEqual(page.complaints, []);
  await page.close();
}

/** The browser asks its visitor, and no longer the server, so nothing of ours is needed beyond the origin. */
async function fromTheInternet(inside) {
  const page = await visit(originOf(internet));
  assert.equal((await page.meets(inside, { transports: ["polling"] })).status, 0);
  page.complained(/Permission was denied for this request to access the `loopback` address space/);
  assert.equal((await page.meets(inside, { transports: ["websocket"] })).refused, "websocket error");
  page.complained(/ERR_BLOCKED_BY_LOCAL_NETWORK_ACCESS_CHECKS/);
  await page.tab.context().grantPermissions(["local-network-access"], { origin: originOf(internet) });
  assert.equal((await page.meets(inside, { transports: ["polling"], extraHeaders: KEY })).answer, "grüß dich");
  assert.equal((await page.meets(inside, { transports: ["websocket"] })).answer, "grüß dich");
  assert.deepEqual(page.complaints, []);
  await page.close();
}

// --- machinery ---------------------------------------------------------------------------------------------------

async function run(name, action) {
  step = name;
  await action();
  console.log(`ok      ${name}`);
}

function documentWith(client) {
  return `<!doctype html><meta charset="utf-8"><title>CORS</title><link rel="icon" href="data:,"><script src="${client}"></script>`;
}

/** A server of pages, and of nothing else. */
async function published() {
  const server = createServer((request, response) => {
    response.setHeader("Content-Type", request.url.endsWith(".js") ? "text/javascript" : "text/html");
    response.end(documents[request.url] ?? "");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function originOf(server) {
  return `http://localhost:${server.address().port}`;
}

async function demo(...options) {
  const server = new DemoServer(binary, await freePort(), "upstream", options);
  servers.push(server);
  await server.start();
  return server;
}

async function started(options) {
  const server = await subject.start(options);
  servers.push(server);
  // Cookies belong to hosts: by this one the pages of `home` are of the same site, and of another origin.
  return { url: `http://localhost:${server.port}`, stats: () => server.stats() };
}

function refusal(status, code, message) {
  return { refused: "xhr poll error", status, body: JSON.stringify({ code, message }) };
}

async function visit(url) {
  const tab = await (await browser.newContext()).newPage();
  tab.setDefaultTimeout(PATIENCE_MS);
  const page = new Page(tab, tab.mainFrame());
  await tab.goto(url);
  return page;
}
