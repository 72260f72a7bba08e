/** The wire log: every packet as a transport sends or receives it, and what happens to the transports. */

import { computed, signal } from "@preact/signals";
import type { Packet } from "engine.io-parser";
import type { Manager } from "socket.io-client";
import { readPacket, type Reading } from "./packets";

export interface WireEntry {
  key: number;
  at: number;
  direction: "in" | "out" | "note";
  transport: string;
  /** Absent for notes. */
  reading: Reading | null;
  text: string;
}

/** Older entries go: the log must not grow with the age of the page. */
const MAX_ENTRIES = 400;
/** Longer packets are cut in the log, not on the wire. */
const MAX_TEXT = 4_000;

export const entries = signal<readonly WireEntry[]>([]);
export const paused = signal(false);
/** Entries which passed while the log was paused. */
export const missed = signal(0);
export const filter = signal("");
export const showHeartbeats = signal(true);
export const totals = signal({ packetsIn: 0, packetsOut: 0, bytesIn: 0, bytesOut: 0 });

export const visibleEntries = computed(() => {
  const words = filter.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
  return entries.value.filter((entry) => {
    const kind = entry.reading?.kind;
    if (!showHeartbeats.value && (kind === "ping" || kind === "pong") && !entry.text.includes("probe")) return false;
    const haystack = `${entry.direction} ${entry.transport} ${kind ?? "note"} ${entry.reading?.namespace ?? ""} ${entry.text}`.toLowerCase();
    return words.every((word) => haystack.includes(word));
  });
});

export function clearLog(): void {
  entries.value = [];
  missed.value = 0;
}

export function togglePause(): void {
  paused.value = !paused.value;
  missed.value = 0;
}

/** Writes a line of our own into the log. */
export function note(text: string, transport = ""): void {
  append({ direction: "note", transport, reading: null, text });
}

/**
 * Listens to all transports a manager will ever use.
 *
 * `engine.on("packet")` and `"packetCreate"` know neither the probes of an upgrade nor the transport a packet took,
 * so this sits one level lower, on the transports themselves.
 */
export function tapManager(manager: Manager, onTransport: (name: string, upgraded: boolean) => void): void {
  const tap = (): void => tapEngine(manager, onTransport);
  // The manager makes a new engine right after it says so; a microtask later it is there, and no packet yet.
  manager.on("reconnect_attempt", () => queueMicrotask(tap));
  tap();
}

/** The parts of the engine and of its transports which the log needs; the library keeps them from its public types. */
interface Transport {
  name: string;
  send(packets: Packet[]): void;
  on(event: "packet", listener: (packet: Packet) => void): void;
}

interface Engine {
  transport: Transport;
  createTransport(name: string): Transport;
  on(event: "open" | "upgrading" | "upgrade", listener: (transport: Transport) => void): void;
  on(event: "upgradeError", listener: (error: Error) => void): void;
  on(event: "close", listener: (reason: string) => void): void;
}

function tapEngine(manager: Manager, onTransport: (name: string, upgraded: boolean) => void): void {
  const engine = manager.engine as unknown as Engine;
  const createTransport = engine.createTransport.bind(engine);
  engine.createTransport = (name) => tapTransport(createTransport(name));
  tapTransport(engine.transport);
  note(`opening ${engine.transport.name}`, engine.transport.name);
  engine.on("open", () => onTransport(engine.transport.name, false));
  engine.on("upgrading", (transport) => note(`upgrading to ${transport.name}`, transport.name));
  engine.on("upgrade", (transport) => {
    note(`upgraded to ${transport.name}`, transport.name);
    onTransport(transport.name, true);
  });
  engine.on("upgradeError", (error) => note(`upgrade failed: ${error.message}`));
  engine.on("close", (reason) => note(`closed: ${reason}`));
}

function tapTransport(transport: Transport): Transport {
  const send = transport.send.bind(transport);
  transport.send = (packets) => {
    for (const packet of packets) record("out", transport.name, packet);
    send(packets);
  };
  transport.on("packet", (packet) => record("in", transport.name, packet));
  return transport;
}

function record(direction: "in" | "out", transport: string, packet: Packet): void {
  const reading = readPacket(packet);
  count(direction, reading.bytes);
  const text = reading.raw.length > MAX_TEXT ? `${reading.raw.slice(0, MAX_TEXT)} …` : reading.raw;
  append({ direction, transport, reading: { ...reading, raw: text }, text });
}

function count(direction: "in" | "out", bytes: number): void {
  const { packetsIn, packetsOut, bytesIn, bytesOut } = totals.value;
  totals.value =
    direction === "in"
      ? { packetsIn: packetsIn + 1, bytesIn: bytesIn + bytes, packetsOut, bytesOut }
      : { packetsIn, bytesIn, packetsOut: packetsOut + 1, bytesOut: bytesOut + bytes };
}

let nextKey = 1;

function append(entry: Omit<WireEntry, "key" | "at">): void {
  if (paused.value) {
    missed.value += 1;
    return;
  }
  entries.value = [...entries.value.slice(1 - MAX_ENTRIES), { ...entry, key: nextKey++, at: Date.now() }];
}
