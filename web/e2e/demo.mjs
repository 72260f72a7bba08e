// Drives the demo in a real browser: two people, everything the page offers, a restart of the server.
//
//   SOCKEYE_BIN    the binary to test            (default: target/debug/sockeye)
//   CHROMIUM       the browser                   (default: /usr/bin/chromium)
//   SCREENSHOTS    where the pictures go         (default: target/screenshots)
//
// Ends with code 0 if all steps passed; otherwise says which step failed and what was on the screen.

import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { Person } from "./person.mjs";
import { noise, sunset } from "./png.mjs";
import { DemoServer, freePort } from "./server.mjs";

const root = new URL("../../", import.meta.url);
const settings = {
  binary: process.env.SOCKEYE_BIN ?? fileURLToPath(new URL("target/debug/sockeye", root)),
  browser: process.env.CHROMIUM ?? "/usr/bin/chromium",
  screenshots: process.env.SCREENSHOTS ?? fileURLToPath(new URL("target/screenshots", root)),
};
const BROWSER_FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const PASSWORD = "upstream";
const DESK = { width: 1360, height: 820 };
const PHONE = { width: 360, height: 740 };

const server = new DemoServer(settings.binary, await freePort(), PASSWORD);
const people = [];
let browser = null;
let step = "start";

try {
  mkdirSync(settings.screenshots, { recursive: true });
  await run("the server starts", () => server.start());
  browser = await chromium.launch({ executablePath: settings.browser, args: BROWSER_FLAGS });
  await wholeStory();
  await run("the server ends when asked", () => server.stop());
  console.log(`all steps passed; screenshots are in ${settings.screenshots}`);
} catch (error) {
  process.exitCode = 1;
  console.error(`FAILED  ${step}\n${error.stack ?? error}`);
  for (const person of people) await person.describeFailure(settings.screenshots);
  if (server.output !== "") console.error(`--- the server said ---\n${server.output}`);
} finally {
  await browser?.close();
  server.kill();
}

async function wholeStory() {
  const ada = await visitor("Ada", DESK);
  const bob = await visitor("Bob", DESK);
  await run("a nickname lets one in", () => entering(ada, bob));
  await run("polling is upgraded to websocket", () => upgrading(ada, bob));
  await run("two people chat", () => chatting(ada, bob));
  await run("typing is shown and goes away", () => typing(ada, bob));
  await run("pictures travel as binary", () => picturing(ada, bob));
  await run("rooms are made, joined and left", () => rooming(ada, bob));
  await run("private messages stay private", () => whispering(ada, bob));
  await run("a taken nickname is refused", () => takenName());
  await run("/admin refuses a wrong password", () => refusedAdmin(ada));
  await run("/admin accepts the right one", () => acceptedAdmin(ada, bob));
  await run("the wire log filters and pauses", () => wireLog(bob));
  await run("the page fits a phone", () => onAPhone());
  await run("a dropped connection comes back", () => dropping(ada));
  await run("a restarted server gets everybody back", () => restarting(ada, bob));
  await run("polling alone is enough", () => polling(ada, bob));
  await run("websocket alone is enough", () => websocketOnly(ada, bob));
  await run("a kicked person is told so", () => kicking(ada, bob));
  await run("the page reported no errors", () => people.forEach((person) => person.expectNoErrors()));
}

// --- the steps ---------------------------------------------------------------------------------------------------

async function entering(ada, bob) {
  await ada.open(server.url);
  await ada.screenshot("desktop-welcome");
  await ada.enter();
  await bob.open(server.url);
  await bob.enter();
  await ada.sees("people", "Bob");
  await bob.sees("people", "Ada");
}

async function upgrading(...both) {
  for (const person of both) {
    await person.sees("transport", /polling.*→.*websocket/s);
    await person.sees("wire", "3probe");
    await person.sees("wire", "upgraded to websocket");
  }
}

async function chatting(ada, bob) {
  await ada.says("Good morning, river.");
  await ada.sees("delivered", /delivered in [\d.]+ ms/);
  await bob.sees("lines", "Good morning, river.");
  await bob.says("<b>Good morning</b> & grüß dich, Ada ✓");
  await ada.sees("lines", "<b>Good morning</b> & grüß dich, Ada ✓");
}

async function typing(ada, bob) {
  await bob.types("I am thinking about");
  await ada.sees("typing", "Bob is typing");
  await bob.says("I am thinking about the sea.");
  await ada.sees("lines", "I am thinking about the sea.");
  await ada.seesNot("typing", "Bob is typing");
}

async function picturing(ada, bob) {
  const bytes = sunset(320, 200);
  await ada.attaches({ name: "sunset.png", mimeType: "image/png", buffer: bytes }, "Look at this!");
  const width = await bob.pictureWidth("sunset.png");
  if (width !== 320) throw new Error(`the picture arrived ${width} px wide instead of 320`);
  await bob.sees("wire", "451-");
  await bob.sees("wire", "89 50 4e 47");
  await ada.screenshot("desktop-chat");
  await ada.screenshot("desktop-chat-dark", { colorScheme: "dark" });
  // Dropped instead of chosen, and over the limit: the page makes it smaller before it goes out.
  const big = noise(500, 400);
  if (big.length < 262_144) throw new Error(`the big picture has only ${big.length} bytes`);
  await bob.drops({ name: "noise.png", mimeType: "image/png", buffer: big }, "Too big, made small.");
  await ada.pictureWidth("noise.png");
}

async function rooming(ada, bob) {
  await ada.joins("upstream");
  await ada.sees("title", "# upstream");
  await ada.says("Anybody else going upstream?");
  await bob.sees("rooms", "upstream");
  await bob.page.locator("[data-room=upstream]").click();
  await bob.sees("title", "# upstream");
  // The room's past comes along.
  await bob.sees("lines", "Anybody else going upstream?");
  await ada.sees("lines", "Bob joined");
  await bob.says("Me.");
  await ada.sees("lines", "Me.");
  await bob.page.getByRole("button", { name: "Leave upstream" }).click();
  await ada.sees("lines", "Bob left");
  await ada.opensRoom("lobby");
  await ada.seesNot("lines", "Anybody else going upstream?");
}

async function whispering(ada, bob) {
  const eve = await visitor("Eve", DESK);
  await eve.open(server.url);
  await eve.enter();
  await ada.opensPerson("Bob");
  await ada.says("The bear is asleep.");
  await ada.sees("delivered", /delivered in/);
  await bob.opensPerson("Ada");
  await bob.sees("lines", "The bear is asleep.");
  await bob.says("Good to know.");
  await ada.sees("lines", "Good to know.");
  // Eve gets a later message of the lobby and nothing of what was whispered before it.
  await bob.opensRoom("lobby");
  await bob.says("Hello Eve");
  await eve.sees("lines", "Hello Eve");
  await eve.seesNot("wire", "The bear is asleep.");
  await ada.screenshot("desktop-private");
  await eve.leave();
  await ada.seesNot("people", "Eve");
  await ada.opensRoom("lobby");
}

async function takenName() {
  const thief = await visitor("Ada", DESK);
  await thief.open(server.url);
  await thief.tries();
  await thief.sees("refusal", "taken");
  await thief.screenshot("desktop-refused");
  await thief.leave();
}

async function refusedAdmin(ada) {
  await ada.opensPanel("server");
  await ada.fills("admin-password", "wrong");
  await ada.clicks("admin-enter");
  await ada.sees("admin-refused", "wrong password");
  await ada.sees("admin-refused", "wrong_password");
  await ada.screenshot("desktop-admin-refused");
}

async function acceptedAdmin(ada, bob) {
  await ada.fills("admin-password", PASSWORD);
  await ada.clicks("admin-enter");
  await ada.sees("stats", /People\s*2/);
  await ada.sees("stats", /Sessions\s*2/);
  await ada.fills("announce", "The dam opens at noon.");
  await ada.page.keyboard.press("Enter");
  await bob.sees("announcement", "The dam opens at noon.");
  // A line needs a few figures.
  await ada.page.locator(".rate polyline").first().waitFor();
  await ada.screenshot("desktop-admin");
  await ada.opensPanel("connection");
  await ada.screenshot("desktop-connection");
}

async function wireLog(bob) {
  await bob.fills("wire-filter", "announcement in");
  await bob.sees("wire", "The dam opens at noon.");
  await bob.seesNot("wire", "Good morning");
  await bob.fills("wire-filter", "");
  await bob.page.getByTestId("wire").getByRole("button").last().click();
  await bob.sees("wire", "Socket.IO");
  await bob.screenshot("desktop-wire");
  await bob.clicks("wire-pause");
  await bob.says("Nobody logs this.");
  await bob.page.getByText(/[1-9]\d* packets passed unseen/).waitFor();
  await bob.seesNot("wire", "Nobody logs this.");
  await bob.clicks("wire-pause");
}

async function onAPhone() {
  const fay = await visitor("Fay", PHONE);
  await fay.open(server.url);
  await fay.screenshot("phone-welcome");
  await fay.tries();
  await fay.sees("transport", "websocket");
  await fay.sees("lines", "Good morning, river.");
  await fay.says("Hello from the bank.");
  await fay.sees("delivered", /delivered in/);
  await fay.pictureWidth("sunset.png");
  await fay.expectFits();
  await fay.screenshot("phone-chat");
  await fay.clicks("phone-people");
  await fay.expectFits();
  await fay.screenshot("phone-people");
  await fay.clicks("phone-wire");
  await fay.sees("wire", "Hello from the bank.");
  await fay.expectFits();
  await fay.screenshot("phone-wire");
  await fay.screenshot("phone-wire-dark", { colorScheme: "dark" });
  await fay.leave();
}

async function dropping(ada) {
  await ada.opensPanel("connection");
  await ada.clicks("drop");
  await ada.sees("reconnects", "1");
  await ada.sees("transport", "websocket");
}

async function restarting(ada, bob) {
  await server.stop();
  await ada.sees("status", /reconnecting/);
  await bob.sees("status", /reconnecting, attempt [1-9]/);
  await bob.screenshot("desktop-reconnecting");
  // Said while nobody listens; the client keeps it until the connection is back.
  await ada.says("Is this river dry?");
  await server.start();
  await ada.sees("status", "connected");
  await bob.sees("status", "connected");
  await ada.sees("reconnects", "2");
  await bob.sees("people", "Ada");
  await bob.sees("lines", "Is this river dry?");
  // The second namespace came back too, without asking for the password again.
  await ada.opensPanel("server");
  await ada.sees("stats", /People\s*2/);
}

async function polling(ada, bob) {
  await ada.opensPanel("connection");
  await ada.chooses("polling");
  await ada.sees("status", "connected");
  await ada.sees("transport", /^polling$/);
  await ada.says("Slow, but it goes.");
  await bob.sees("lines", "Slow, but it goes.");
  await bob.attaches({ name: "dusk.png", mimeType: "image/png", buffer: sunset(64, 40) }, "");
  const width = await ada.pictureWidth("dusk.png");
  if (width !== 64) throw new Error(`over polling the picture arrived ${width} px wide instead of 64`);
}

async function websocketOnly(ada, bob) {
  await ada.chooses("websocket");
  await ada.sees("status", "connected");
  await ada.sees("transport", /^websocket$/);
  await ada.says("Fast again 🐟");
  await bob.sees("lines", "Fast again 🐟");
}

async function kicking(ada, bob) {
  await ada.opensPanel("server");
  await ada.page.locator("[data-kick=Bob]").click();
  await bob.sees("ended", "An administrator ended your session.");
  await ada.sees("people", /Bob\s*offline/);
  await bob.screenshot("desktop-kicked");
  await bob.page.getByRole("button", { name: "Connect again" }).click();
  await ada.seesNot("people", "offline");
  await bob.sees("status", "connected");
}

// --- machinery ---------------------------------------------------------------------------------------------------

async function run(name, action) {
  step = name;
  const start = performance.now();
  await action();
  console.log(`ok  ${name} (${Math.round(performance.now() - start)} ms)`);
}

async function visitor(nickname, viewport) {
  const person = await Person.create(browser, nickname, viewport, settings.screenshots);
  people.push(person);
  return person;
}
