/** The namespace `/admin`: a second socket on the same connection, with a password of its own. */

import { signal } from "@preact/signals";
import type { Socket } from "socket.io-client";
import { chatSocket } from "./connection";
import type { AdminToClient, ClientToAdmin, RefusalData, Stats } from "./events";

export type AdminState =
  | { name: "out" }
  | { name: "asking" }
  | { name: "in" }
  /** The server's `connect_error`, as it came. */
  | { name: "refused"; message: string; data: RefusalData | null };

export const admin = signal<AdminState>({ name: "out" });
export const stats = signal<Stats | null>(null);
/** Messages per second, newest last. */
export const rates = signal<readonly { received: number; sent: number }[]>([]);

const MAX_RATES = 60;

let socket: Socket<AdminToClient, ClientToAdmin> | null = null;
/** The password that let us in: kept by the page only, and only until we leave. */
let accepted: string | null = null;

/** Asks to enter. The server answers with CONNECT, or refuses with CONNECT_ERROR. */
export function enterAdmin(password: string): void {
  const chat = chatSocket();
  if (!chat) return;
  admin.value = { name: "asking" };
  if (socket?.io === chat.io) {
    socket.auth = { password };
    socket.connect();
  } else {
    socket?.disconnect();
    socket = chat.io.socket("/admin", { auth: { password } });
    listen(socket);
  }
}

/** Follows the main namespace to a new connection, if we were in. */
export function followAdmin(): void {
  if (accepted !== null) enterAdmin(accepted);
}

export function leaveAdmin(): void {
  accepted = null;
  socket?.disconnect();
  admin.value = { name: "out" };
  stats.value = null;
  rates.value = [];
}

export async function announce(text: string): Promise<string | null> {
  return ask(() => socket?.timeout(5_000).emitWithAck("announce", text));
}

export async function kick(nickname: string): Promise<string | null> {
  return ask(() => socket?.timeout(5_000).emitWithAck("kick", nickname));
}

function listen(admins: Socket<AdminToClient, ClientToAdmin>): void {
  admins.on("connect", () => {
    accepted = (admins.auth as { password: string }).password;
    admin.value = { name: "in" };
  });
  admins.on("disconnect", () => {
    if (admins !== socket) return;
    admin.value = { name: admins.active ? "asking" : "out" };
    rates.value = [];
  });
  admins.on("connect_error", (error) => {
    // While the network is away the socket stays active and tries again; only the server can refuse.
    if (admins.active) return;
    admin.value = { name: "refused", message: error.message, data: ("data" in error ? (error.data as RefusalData) : null) ?? null };
  });
  admins.on("stats", (latest) => {
    const before = stats.value;
    stats.value = latest;
    if (!before || latest.uptime_seconds < before.uptime_seconds) return;
    const rate = { received: latest.received - before.received, sent: latest.sent - before.sent };
    rates.value = [...rates.value.slice(1 - MAX_RATES), rate];
  });
}

async function ask(send: () => Promise<{ Ok: null } | { Err: string }> | undefined): Promise<string | null> {
  try {
    const result = await send();
    if (!result) return "not connected";
    return "Err" in result ? result.Err : null;
  } catch {
    return "the server did not answer";
  }
}
