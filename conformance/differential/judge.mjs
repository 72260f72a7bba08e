// The official parsers, asked line by line: a JSON object in, a JSON object out.
//
// Values travel in a form that both languages can compare exactly: numbers as the bits of a double, bytes as hex, objects
// as lists of pairs, which keep their order and every key.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import * as engine from "engine.io-parser";
import * as json from "socket.io-parser";
import msgpack from "socket.io-msgpack-parser";

// What the official server reads clients of revision 3 with; it is no entry point of its package.
const require = createRequire(import.meta.url);
const engine3 = require(require.resolve("engine.io").replace("engine.io.js", "parser-v3/index.js"));

const PARSERS = { json, msgpack };

function canonical(value) {
  if (value === undefined || value === null) return null;
  if (typeof value === "boolean") return value;
  if (typeof value === "number") return { n: bits(value) };
  if (typeof value === "string") return value.toWellFormed();
  if (value instanceof Date) return value.toJSON();
  if (value instanceof ArrayBuffer) return { b: Buffer.from(value).toString("hex") };
  if (ArrayBuffer.isView(value)) {
    return { b: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex") };
  }
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value === "object") {
    const pairs = new Map(Object.entries(value).map(([key, item]) => [key.toWellFormed(), canonical(item)]));
    return { m: [...pairs] };
  }
  return { unknown: typeof value };
}

function native(value) {
  if (Array.isArray(value)) return value.map(native);
  if (value === null || typeof value !== "object") return value;
  if ("n" in value) return Buffer.from(value.n, "hex").readDoubleBE(0);
  if ("b" in value) return Buffer.from(value.b, "hex");
  // Unlike an assignment, this takes `__proto__` for a key like any other.
  return Object.fromEntries(value.m.map(([key, item]) => [key, native(item)]));
}

function bits(number) {
  const buffer = Buffer.alloc(8);
  buffer.writeDoubleBE(Object.is(number, -0) ? 0 : number);
  return Number.isNaN(number) ? "NaN" : buffer.toString("hex");
}

const message = (value) => (typeof value === "string" ? value : { b: Buffer.from(value).toString("hex") });

const CHORES = {
  engineDecode({ body }) {
    return engine.decodePayload(body).map(({ type, data }) => [type, canonical(data ?? "")]);
  },

  engineEncode({ messages }) {
    let body;
    engine.encodePayload(
      messages.map((data) => ({ type: "message", data: native(data) })),
      (encoded) => (body = encoded),
    );
    return body;
  },

  // Up to the first error, after which the session ends.
  engineDecode3({ body }) {
    const packets = [];
    engine3.decodePayload(native(body), ({ type, data }) => {
      if (packets.at(-1)?.[0] === "error") return false;
      packets.push([type ?? "error", type ? canonical(data ?? "") : ""]);
      return type !== "error";
    });
    return packets;
  },

  engineEncode3({ messages, supportsBinary }) {
    const packets = messages.map((data) => ({ type: "message", data: native(data) }));
    let body;
    engine3.encodePayload(packets, supportsBinary, (encoded) => (body = encoded));
    return message(body);
  },

  // For each message: null (nothing yet), "error", or the packet it completed.
  socketDecode({ parser, messages }) {
    const decoder = new PARSERS[parser].Decoder();
    let outcome;
    decoder.on("decoded", ({ type, nsp, id, data }) => {
      const event = type === 2 && Array.isArray(data);
      const shown = event ? [typeof data[0] === "number" ? String(data[0]) : data[0], ...data.slice(1)] : data;
      outcome = { type, nsp: nsp.toWellFormed(), id: id === undefined ? null : bits(id), data: canonical(shown) };
    });
    const outcomes = [];
    for (const item of messages) {
      outcome = null;
      try {
        decoder.add(native(item));
      } catch {
        outcome = "error";
      }
      outcomes.push(outcome);
      if (outcome === "error") break;
    }
    return outcomes;
  },

  socketEncode({ parser, packet }) {
    const { type, nsp, id, data } = packet;
    const encoder = new PARSERS[parser].Encoder();
    return encoder.encode({ type, nsp, id: id ?? undefined, data: native(data) }).map(message);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  process.stdout.write(JSON.stringify({ answer: CHORES[question.chore](question) ?? null }) + "\n");
}
