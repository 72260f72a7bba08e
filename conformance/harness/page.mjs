// As much of a page as JSONP needs: scripts that are loaded and run, forms that are sent.

import { pause } from './time.mjs';

/** Requests that have not been answered. */
const waiting = new Set();

class Element {
  style = {};
  children = [];

  setAttribute() {}

  appendChild(child) {
    child.parentNode = this;
    this.children.push(child);
    child.load?.();
  }

  removeChild(child) {
    this.children.splice(this.children.indexOf(child), 1);
  }
}

class Script extends Element {
  load() {
    fetched(this.src).then((text) => (0, eval)(text)).catch((error) => this.onerror?.(error));
  }
}

class Form extends Element {
  /** The answer goes into the last frame, which says when it is there. */
  submit() {
    const area = this.children.find((child) => 'value' in child);
    const body = new URLSearchParams({ [area.name]: area.value.replace(/\n/g, '\r\n') });
    fetched(this.action, { method: 'POST', body }).then(() => this.children.at(-1).onload());
  }
}

async function fetched(...request) {
  const answer = fetch(...request).then((response) => response.text());
  waiting.add(answer);
  // It counts as answered when the next request had its chance to be made.
  return answer.finally(() => setImmediate(() => waiting.delete(answer)));
}

/** Makes a page; the function that is returned takes it away when all its requests are answered. */
export function page() {
  const head = new Element();
  const create = { script: Script, form: Form };
  globalThis.document = {
    head,
    body: head,
    getElementsByTagName: () => [],
    createElement: (tag) => {
      if (tag.startsWith('<')) {
        throw new Error('not that old');
      }
      return new (create[tag] ?? Element)();
    },
  };
  return async () => {
    while (waiting.size > 0) {
      await pause(1);
    }
    delete globalThis.document;
  };
}
