// One visitor of the page: what they can do and what they can see, by the page's test ids.

import { join } from "node:path";

const PATIENCE_MS = 15_000;

export class Person {
  #errors = [];

  static async create(browser, nickname, viewport, screenshots) {
    const context = await browser.newContext({ viewport, colorScheme: "light", reducedMotion: "reduce", deviceScaleFactor: viewport.width < 500 ? 2 : 1 });
    context.setDefaultTimeout(PATIENCE_MS);
    return new Person(await context.newPage(), nickname, screenshots);
  }

  constructor(page, nickname, screenshots) {
    this.page = page;
    this.nickname = nickname;
    this.screenshots = screenshots;
    page.on("pageerror", (error) => this.#errors.push(error.stack ?? String(error)));
    page.on("console", (message) => {
      // While the server is away the browser itself reports every request that failed.
      if (message.type() === "error" && !/ERR_|net::|WebSocket connection to|Failed to load resource/.test(message.text())) this.#errors.push(message.text());
    });
  }

  // --- doing -----------------------------------------------------------------------------------------------------

  async open(url) {
    await this.page.goto(url);
  }

  async tries() {
    await this.fills("nickname", this.nickname);
    await this.clicks("enter");
  }

  async enter() {
    await this.tries();
    await this.sees("status", "connected");
  }

  async leave() {
    await this.page.context().close();
  }

  async clicks(id) {
    await this.page.getByTestId(id).click();
  }

  async fills(id, text) {
    await this.page.getByTestId(id).fill(text);
  }

  async types(text) {
    const field = this.page.getByTestId("composer");
    await field.fill("");
    await field.pressSequentially(text);
  }

  async says(text) {
    await this.fills("composer", text);
    await this.page.getByTestId("composer").press("Enter");
    await this.sees("lines", text);
  }

  async attaches(file, text) {
    await this.page.getByTestId("file").setInputFiles(file);
    await this.#sendsPreview(text);
  }

  /** Drops a file somewhere on the page. */
  async drops({ name, mimeType, buffer }, text) {
    await this.page.evaluate(
      ([name, type, base64]) => {
        const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([bytes], name, { type }));
        for (const event of ["dragover", "drop"]) document.body.dispatchEvent(new DragEvent(event, { dataTransfer, bubbles: true, cancelable: true }));
      },
      [name, mimeType, buffer.toString("base64")],
    );
    await this.#sendsPreview(text);
  }

  async #sendsPreview(text) {
    await this.page.locator(".preview").waitFor();
    await this.fills("composer", text);
    await this.page.getByTestId("composer").press("Enter");
    await this.page.locator(".preview").waitFor({ state: "detached" });
  }

  async joins(room) {
    await this.fills("new-room", room);
    await this.page.getByTestId("new-room").press("Enter");
  }

  async opensRoom(room) {
    await this.page.locator(`[data-room="${room}"]`).click();
    await this.sees("title", `# ${room}`);
  }

  async opensPerson(name) {
    await this.page.locator(`[data-person="${name}"]`).click();
    await this.sees("title", name);
  }

  async opensPanel(name) {
    await this.clicks(`tab-${name}`);
  }

  async chooses(mode) {
    await this.page.getByTestId(`mode-${mode}`).check({ force: true });
  }

  async screenshot(name, { colorScheme = "light" } = {}) {
    await this.page.emulateMedia({ colorScheme });
    await this.page.screenshot({ path: join(this.screenshots, `${name}.png`) });
    await this.page.emulateMedia({ colorScheme: "light" });
  }

  // --- seeing ----------------------------------------------------------------------------------------------------

  /** Waits until an element with the test id shows the text. */
  async sees(id, text) {
    const wanted = this.page.getByTestId(id).filter({ hasText: text }).first();
    await wanted.waitFor().catch(async () => {
      throw new Error(`${this.nickname} waited for “${id}” to show ${text}, but it shows ${await this.#textOf(id)}`);
    });
  }

  /** Waits until no element with the test id shows the text. */
  async seesNot(id, text) {
    const unwanted = this.page.getByTestId(id).filter({ hasText: text }).first();
    await unwanted.waitFor({ state: "detached" }).catch(() => {
      throw new Error(`${this.nickname} still sees ${text} in “${id}”`);
    });
  }

  /** The natural width of a picture, once it is drawn. */
  async pictureWidth(name) {
    const picture = this.page.getByAltText(name).last();
    await picture.waitFor();
    return picture.evaluate(async (image) => {
      await image.decode();
      return image.naturalWidth;
    });
  }

  /** The frame is as wide as the window and nothing stands out of it. */
  async expectFits() {
    const [content, header, window] = await this.page.evaluate(() => [document.documentElement.scrollWidth, document.querySelector(".header").clientWidth, innerWidth]);
    if (content > window || header !== window) throw new Error(`in a window of ${window} px the page is ${content} px wide, its header ${header} px`);
  }

  expectNoErrors() {
    if (this.#errors.length > 0) throw new Error(`the page of ${this.nickname} reported:\n${this.#errors.join("\n")}`);
  }

  async describeFailure(folder) {
    if (this.page.isClosed()) return;
    const path = join(folder, `failed-${this.nickname}.png`);
    await this.page.screenshot({ path }).catch(() => {});
    console.error(`what ${this.nickname} saw: ${path}`);
    if (this.#errors.length > 0) console.error(this.#errors.join("\n"));
  }

  async #textOf(id) {
    const texts = await this.page.getByTestId(id).allInnerTexts();
    return texts.length === 0 ? "nothing" : texts.map((text) => JSON.stringify(text.slice(-400))).join(", ");
  }
}
