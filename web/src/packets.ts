/** Reads packets for people: what the digits at the start of a Socket.IO message mean. */

import type { Packet } from "engine.io-parser";

export interface Reading {
  /** The packet as it stands on the wire; a picture of the bytes if it is binary. */
  raw: string;
  /** One word: "event", "ack", "ping", … */
  kind: Kind;
  /** One sentence for the opened row. */
  meaning: string;
  namespace: string | null;
  bytes: number;
  json: unknown;
}

export type Kind = "open" | "close" | "ping" | "pong" | "upgrade" | "noop" | "connect" | "disconnect" | "event" | "ack" | "refused" | "binary";

const ENGINE_DIGITS: Record<string, string> = { open: "0", close: "1", ping: "2", pong: "3", message: "4", upgrade: "5", noop: "6" };

const SOCKET_TYPES: readonly { kind: Kind; name: string }[] = [
  { kind: "connect", name: "CONNECT" },
  { kind: "disconnect", name: "DISCONNECT" },
  { kind: "event", name: "EVENT" },
  { kind: "ack", name: "ACK" },
  { kind: "refused", name: "CONNECT_ERROR" },
  { kind: "event", name: "BINARY_EVENT" },
  { kind: "ack", name: "BINARY_ACK" },
];

const ENGINE_MEANINGS: Partial<Record<Kind, string>> = {
  open: "Engine.IO handshake: the session's id, intervals and limits",
  close: "Engine.IO close: the session ends",
  ping: "Heartbeat of the server",
  pong: "Answer to a heartbeat",
  upgrade: "The new transport takes over",
  noop: "Ends a waiting poll during an upgrade",
};

/** What a reader of the log should not see over somebody's shoulder. */
const SECRETS = /"(password|key)":"(?:\\.|[^"\\])*"/g;

export function readPacket(packet: Packet): Reading {
  const { type, data } = packet;
  if (data instanceof ArrayBuffer || ArrayBuffer.isView(data)) return readBinary(data);
  const body = typeof data === "string" ? data : "";
  const bytes = new TextEncoder().encode(body).length + 1;
  const raw = (ENGINE_DIGITS[type] ?? "?") + body.replace(SECRETS, '"$1":"•••"');
  if (type !== "message") return readEnginePacket(type, raw, bytes, body);
  return readSocketPacket(raw, bytes);
}

function readBinary(data: ArrayBuffer | ArrayBufferView): Reading {
  const view = data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const head = Array.from(view.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const raw = view.length > 16 ? `${head} …` : head;
  return { raw, kind: "binary", meaning: "Binary attachment of the packet before it", namespace: null, bytes: view.length, json: undefined };
}

function readEnginePacket(type: string, raw: string, bytes: number, body: string): Reading {
  const kind = type as Kind;
  const probe = body === "probe" ? ": a probe of the new transport" : "";
  return { raw, kind, meaning: (ENGINE_MEANINGS[kind] ?? "Unknown packet") + probe, namespace: null, bytes, json: parsed(body) };
}

/** `4` type [attachments `-`] [namespace `,`] [ack id] [JSON] */
function readSocketPacket(raw: string, bytes: number): Reading {
  const parts = /^4(\d)(?:(\d+)-)?(?:(\/[^,]*),?)?(\d+)?(.*)$/s.exec(raw);
  const known = SOCKET_TYPES[Number(parts?.[1])];
  if (!parts || !known) return { raw, kind: "event", meaning: "Not a Socket.IO packet", namespace: null, bytes, json: undefined };
  const [, , attachments, namespace = "/", ackId, body = ""] = parts;
  const json = parsed(body);
  const meaning = [
    `Socket.IO ${known.name}`,
    `namespace ${namespace}`,
    known.kind === "event" && Array.isArray(json) ? `event “${String(json[0])}”` : null,
    ackId === undefined ? null : known.kind === "ack" ? `answers ${ackId}` : `wants ack ${ackId}`,
    attachments === undefined ? null : `${attachments} attachment${attachments === "1" ? "" : "s"} follow`,
  ].filter((part) => part !== null);
  return { raw, kind: known.kind, meaning: meaning.join(" · "), namespace, bytes, json };
}

function parsed(body: string): unknown {
  try {
    return body === "" ? undefined : JSON.parse(body);
  } catch {
    return undefined;
  }
}
