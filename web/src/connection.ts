/** The connection to the server: one Socket.IO manager, the main namespace on it, and how both are doing. */

import { signal } from "@preact/signals";
import { io, type Socket } from "socket.io-client";
import type { ClientToServer, Identity, RefusalData, ServerToClient } from "./events";
import { note, tapManager } from "./wire";

export type Phase = "offline" | "connecting" | "online" | "reconnecting" | "refused" | "ended";

/** Which transports the client may use. */
export type Mode = "upgrade" | "polling" | "websocket";

export type ChatSocket = Socket<ServerToClient, ClientToServer>;

const TRANSPORTS: Record<Mode, string[]> = { upgrade: ["polling", "websocket"], polling: ["polling"], websocket: ["websocket"] };

export const phase = signal<Phase>("offline");
/** Attempts since the connection was lost. */
export const attempt = signal(0);
/** Why the last connection ended or could not be made. */
export const reason = signal<string | null>(null);
export const refusal = signal<{ message: string; data: RefusalData | null } | null>(null);
/** The transport in use, and whether it was reached by an upgrade. */
export const transport = signal<{ name: string; upgraded: boolean } | null>(null);
export const mode = signal<Mode>(savedMode());
/** Round trips of `echo`, in ms, newest last. */
export const pings = signal<readonly number[]>([]);
export const reconnects = signal(0);

let socket: ChatSocket | null = null;

/** The socket of the main namespace, if there is one. */
export function chatSocket(): ChatSocket | null {
  return socket;
}

/** Connects; `attach` registers the listeners before the first packet can arrive. */
export function connect(identity: () => Identity, attach: (socket: ChatSocket) => void): void {
  disconnect();
  phase.value = "connecting";
  refusal.value = null;
  reason.value = null;
  attempt.value = 0;
  const created: ChatSocket = io({
    // A manager of its own: the old one may still be closing with other transports.
    forceNew: true,
    transports: TRANSPORTS[mode.value],
    reconnectionDelay: 400,
    reconnectionDelayMax: 3_000,
    timeout: 8_000,
    // A function, so that a reconnection tells the rooms of that moment.
    auth: (send) => send({ ...identity() }),
  });
  socket = created;
  tapManager(created.io, (name, upgraded) => {
    transport.value = { name, upgraded };
    // The first figure was made while both transports were busy.
    if (upgraded) void ping();
  });
  follow(created);
  attach(created);
}

/** Leaves for good, until `connect` is called again. */
export function disconnect(): void {
  const leaving = socket;
  socket = null;
  leaving?.disconnect();
  phase.value = "offline";
  transport.value = null;
}

/** Cuts the transport, as a lost network would; the client notices and comes back. */
export function dropConnection(): void {
  note("connection dropped by hand");
  socket?.io.engine.close();
}

export function setMode(chosen: Mode): void {
  mode.value = chosen;
  localStorage.setItem("sockeye-mode", chosen);
}

/** Asks the server to echo a number; the time until its acknowledgement is the latency. */
export async function ping(): Promise<void> {
  if (!socket?.connected) return;
  const start = performance.now();
  try {
    await socket.timeout(5_000).emitWithAck("echo", pings.value.length);
    pings.value = [...pings.value.slice(-39), performance.now() - start];
  } catch {
    note("echo was not acknowledged within 5 s");
  }
}

function follow(created: ChatSocket): void {
  created.on("connect", () => {
    if (phase.value === "reconnecting") reconnects.value += 1;
    phase.value = "online";
    attempt.value = 0;
    refusal.value = null;
    void ping();
  });
  created.on("disconnect", (why) => {
    if (created !== socket) return;
    reason.value = why;
    transport.value = null;
    phase.value = created.active ? "reconnecting" : why === "io client disconnect" ? "offline" : "ended";
  });
  created.on("connect_error", (error) => {
    reason.value = error.message;
    // A lost network keeps the socket active, a refusal of the namespace does not.
    if (created.active) return;
    phase.value = "refused";
    refusal.value = { message: error.message, data: ("data" in error ? (error.data as RefusalData) : null) ?? null };
  });
  created.io.on("reconnect_attempt", (number) => (attempt.value = number));
  created.io.on("error", (error) => {
    if (phase.value === "connecting") phase.value = "reconnecting";
    reason.value = error.message;
  });
}

function savedMode(): Mode {
  const wanted = new URLSearchParams(location.search).get("transport") ?? localStorage.getItem("sockeye-mode");
  return wanted === "polling" || wanted === "websocket" ? wanted : "upgrade";
}
