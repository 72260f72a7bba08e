/**
 * The events of the demo: what the page and the server say to each other.
 *
 * `crates/cli/src/events.rs` is the other half; a name or a field changes in both.
 */

/** Where a message goes: everybody in a room, or one person. */
export type Place = { room: string } | { person: string };

/** Somebody who is online. The nickname is unique and is the address of private messages. */
export interface Person {
  nickname: string;
  rooms: string[];
}

/** A picture as it travels: `bytes` becomes a binary attachment of the packet. */
export interface Picture {
  name: string;
  type: string;
  bytes: ArrayBuffer;
}

export interface Draft {
  to: Place;
  text: string;
  picture: Picture | null;
}

/** `id` grows with time and is unique, so it orders messages and finds repeated ones. `at` is in ms since 1970. */
export interface Message extends Draft {
  id: number;
  at: number;
  from: string;
}

/** The acknowledgement of a message: what the server added to it. */
export type Receipt = Pick<Message, "id" | "at">;

/** How a Rust `Result` looks in JSON. */
export type Result<T> = { Ok: T } | { Err: string };

/** What a client shows to enter `/`. The key proves that a nickname is still ours after a lost connection. */
export interface Identity {
  nickname: string;
  key: string;
  rooms: string[];
}

export interface Limits {
  text: number;
  picture: number;
  rooms: number;
}

export interface ServerToClient {
  welcome: (welcome: { people: Person[]; limits: Limits; version: string }) => void;
  /** Somebody arrived, or entered or left a room. */
  person: (person: Person) => void;
  left: (nickname: string) => void;
  message: (message: Message) => void;
  typing: (typing: { from: string; to: Place; typing: boolean }) => void;
  announcement: (text: string) => void;
  /** The last event before the server ends the session. */
  goodbye: (why: "kicked" | "replaced") => void;
}

export interface ClientToServer {
  join: (room: string, done: (result: Result<null>) => void) => void;
  leave: (room: string, done: (result: Result<null>) => void) => void;
  message: (draft: Draft, done: (result: Result<Receipt>) => void) => void;
  typing: (typing: { to: Place; typing: boolean }) => void;
  echo: (value: number, done: (value: number) => void) => void;
}

/** Live figures of the server, once a second, for administrators. */
export interface Stats {
  uptime_seconds: number;
  /** Engine.IO sessions, and sockets in namespaces. */
  sessions: number;
  sockets: number;
  /** Upgrades from polling to WebSocket since the start. */
  upgrades: number;
  people: number;
  rooms: number;
  /** Chat messages since the start, and those of them with a picture. */
  messages: number;
  pictures: number;
  /** Engine.IO messages since the start. */
  received: number;
  sent: number;
  /** Resident memory; `null` where the operating system does not tell. */
  memory_bytes: number | null;
}

export interface AdminToClient {
  stats: (stats: Stats) => void;
}

export interface ClientToAdmin {
  announce: (text: string, done: (result: Result<null>) => void) => void;
  kick: (nickname: string, done: (result: Result<null>) => void) => void;
}

/** What comes with a refused connection (`connect_error`) as `data`. */
export interface RefusalData {
  code: "nickname_invalid" | "nickname_taken" | "wrong_password";
  hint: string;
}
