/** The chat: who is online, which conversations we follow, and what was said in them. */

import { computed, signal } from "@preact/signals";
import { chatSocket, type ChatSocket, connect, disconnect } from "./connection";
import type { Draft, Identity, Limits, Message, Person, Picture, Place } from "./events";
import { pictureUrl } from "./picture";

/** One line of a conversation. */
export type Line = MessageLine | { type: "notice"; key: string; at: number; text: string };

export interface MessageLine {
  type: "message";
  key: string;
  /** Orders the lines; our own unconfirmed messages come last. */
  order: number;
  at: number;
  from: string;
  text: string;
  picture: { name: string; url: string } | null;
  /** How our own message fares; absent for others'. */
  delivery?: { state: "sending" } | { state: "delivered"; ms: number } | { state: "failed"; why: string; retry: () => void };
}

export interface Conversation {
  to: Place;
  lines: readonly Line[];
  unread: number;
}

const LOBBY = "lobby";
const MAX_LINES = 300;
const ACK_TIMEOUT_MS = 20_000;
const TYPING_SHOWN_MS = 4_000;
const TYPING_SENT_EVERY_MS = 2_000;

export const nickname = signal(sessionStorage.getItem("sockeye-nickname") ?? "");
export const people = signal<ReadonlyMap<string, Person>>(new Map());
export const myRooms = signal<readonly string[]>(savedRooms());
export const conversations = signal<ReadonlyMap<string, Conversation>>(new Map());
export const current = signal<string>(keyOf({ room: LOBBY }));
export const limits = signal<Limits>({ text: 2_000, picture: 262_144, rooms: 16 });
export const serverVersion = signal<string | null>(null);
export const announcement = signal<string | null>(null);
/** Why the server said goodbye, if it did. */
export const goodbye = signal<string | null>(null);
/** Conversation → who is typing there. */
export const typists = signal<ReadonlyMap<string, readonly string[]>>(new Map());

/** All rooms anybody is in, ours first, with the number of members. */
export const rooms = computed(() => {
  const counts = new Map<string, number>([[LOBBY, 0], ...myRooms.value.map((room): [string, number] => [room, 0])]);
  for (const person of people.value.values()) for (const room of person.rooms) counts.set(room, (counts.get(room) ?? 0) + 1);
  return Array.from(counts, ([name, members]) => ({ name, members, joined: myRooms.value.includes(name) })).sort(
    (a, b) => Number(b.joined) - Number(a.joined) || Number(b.name === LOBBY) - Number(a.name === LOBBY) || a.name.localeCompare(b.name),
  );
});

export const unreadTotal = computed(() => Array.from(conversations.value.values()).reduce((sum, { unread }) => sum + unread, 0));

/** `#lobby` or `@ada`: the name of a conversation here, and of the room on the server. */
export function keyOf(place: Place): string {
  return "room" in place ? `#${place.room}` : `@${place.person}`;
}

export function placeOf(key: string): Place {
  return key.startsWith("#") ? { room: key.slice(1) } : { person: key.slice(1) };
}

// --- entering and leaving ---------------------------------------------------------------------------------------

export function enter(name: string): void {
  nickname.value = name;
  sessionStorage.setItem("sockeye-nickname", name);
  resume();
}

/** Connects with the nickname we have; also after the transports were changed. */
export function resume(): void {
  goodbye.value = null;
  connect(identity, listen);
}

export function quit(): void {
  disconnect();
  people.value = new Map();
}

function identity(): Identity {
  return { nickname: nickname.value, key: secretKey(), rooms: [...myRooms.value] };
}

function listen(socket: ChatSocket): void {
  socket.on("welcome", (welcome) => {
    people.value = new Map(welcome.people.map((person) => [person.nickname, person]));
    limits.value = welcome.limits;
    serverVersion.value = welcome.version;
    const me = welcome.people.find((person) => person.nickname === nickname.value);
    for (const room of me?.rooms ?? []) open({ room });
    followRooms(me?.rooms ?? []);
  });
  socket.on("person", updatePerson);
  socket.on("left", removePerson);
  socket.on("message", receive);
  socket.on("typing", ({ from, to, typing }) => showTyping("room" in to ? keyOf(to) : keyOf({ person: from }), from, typing));
  socket.on("announcement", (text) => {
    announcement.value = text;
    addNotice(current.value, `Announcement: ${text}`);
  });
  socket.on("goodbye", (why) => (goodbye.value = why));
}

// --- people ------------------------------------------------------------------------------------------------------

function updatePerson(person: Person): void {
  const before = people.value.get(person.nickname);
  people.value = new Map(people.value).set(person.nickname, person);
  if (person.nickname === nickname.value) return;
  for (const room of myRooms.value) {
    const [was, is] = [before?.rooms.includes(room) ?? false, person.rooms.includes(room)];
    if (was !== is) addNotice(keyOf({ room }), `${person.nickname} ${is ? "joined" : "left"}`);
  }
}

function removePerson(name: string): void {
  const person = people.value.get(name);
  const rest = new Map(people.value);
  rest.delete(name);
  people.value = rest;
  for (const room of person?.rooms ?? []) {
    showTyping(keyOf({ room }), name, false);
    if (myRooms.value.includes(room)) addNotice(keyOf({ room }), `${name} went offline`);
  }
}

// --- rooms -------------------------------------------------------------------------------------------------------

/** Joins or creates a room; says why not, if not. */
export async function join(room: string): Promise<string | null> {
  if (myRooms.value.includes(room)) return show(keyOf({ room })), null;
  return ask("join", room, () => {
    followRooms([...myRooms.value, room]);
    show(keyOf({ room }));
  });
}

export async function leave(room: string): Promise<string | null> {
  return ask("leave", room, () => {
    followRooms(myRooms.value.filter((name) => name !== room));
    forget(keyOf({ room }));
    if (current.value === keyOf({ room })) show(keyOf({ room: LOBBY }));
  });
}

async function ask(event: "join" | "leave", room: string, done: () => void): Promise<string | null> {
  const socket = chatSocket();
  if (!socket?.connected) return "not connected";
  try {
    const result = await socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, room);
    if ("Err" in result) return result.Err;
    done();
    return null;
  } catch {
    return "the server did not answer";
  }
}

function followRooms(names: readonly string[]): void {
  myRooms.value = names;
  sessionStorage.setItem("sockeye-rooms", JSON.stringify(names));
}

/** Makes a conversation the one on the screen. */
export function show(key: string): void {
  open(placeOf(key));
  current.value = key;
  update(key, (conversation) => ({ ...conversation, unread: 0 }));
}

// --- messages ----------------------------------------------------------------------------------------------------

export function send(key: string, text: string, picture: Picture | null): void {
  const draft: Draft = { to: placeOf(key), text, picture };
  const line: MessageLine = {
    type: "message",
    key: crypto.randomUUID(),
    order: Number.MAX_SAFE_INTEGER,
    at: Date.now(),
    from: nickname.value,
    text,
    picture: picture && { name: picture.name, url: pictureUrl(picture) ?? "" },
    delivery: { state: "sending" },
  };
  open(draft.to);
  addLine(key, line);
  typingEnded(key);
  void deliver(key, line, draft);
}

/** Sends and waits for the receipt. While offline the library keeps the packet and sends it after reconnecting. */
async function deliver(key: string, line: MessageLine, draft: Draft): Promise<void> {
  const start = performance.now();
  const fail = (why: string): void => {
    const retry = (): void => {
      replaceLine(key, { ...line, delivery: { state: "sending" } });
      void deliver(key, line, draft);
    };
    replaceLine(key, { ...line, delivery: { state: "failed", why, retry } });
  };
  try {
    const result = await chatSocket()?.timeout(ACK_TIMEOUT_MS).emitWithAck("message", draft);
    if (!result) return fail("not connected");
    if ("Err" in result) return fail(result.Err);
    const { id, at } = result.Ok;
    replaceLine(key, { ...line, order: id, at, delivery: { state: "delivered", ms: performance.now() - start } });
  } catch {
    fail("no acknowledgement");
  }
}

function receive(message: Message): void {
  const key = "room" in message.to ? keyOf(message.to) : keyOf({ person: message.from });
  const lineKey = `m${message.id}`;
  const known = conversations.value.get(key)?.lines.some((line) => line.key === lineKey || (line.type === "message" && line.order === message.id));
  if (known) return;
  open("room" in message.to ? message.to : { person: message.from });
  showTyping(key, message.from, false);
  const picture = message.picture && { name: message.picture.name, url: pictureUrl(message.picture) ?? "" };
  addLine(key, { type: "message", key: lineKey, order: message.id, at: message.at, from: message.from, text: message.text, picture });
  // What was said before this page was opened is shown, but is no news.
  const isNews = message.from !== nickname.value && message.at > performance.timeOrigin;
  if (isNews && (key !== current.value || document.hidden)) update(key, (conversation) => ({ ...conversation, unread: conversation.unread + 1 }));
}

function addNotice(key: string, text: string): void {
  addLine(key, { type: "notice", key: crypto.randomUUID(), at: Date.now(), text });
}

function addLine(key: string, line: Line): void {
  update(key, (conversation) => ({ ...conversation, lines: sorted([...conversation.lines, line]) }));
}

function replaceLine(key: string, line: MessageLine): void {
  update(key, (conversation) => ({ ...conversation, lines: sorted(conversation.lines.map((old) => (old.key === line.key ? line : old))) }));
}

/** By the server's order; what it has not numbered stays where it is. Forgets the oldest, and their pictures. */
function sorted(lines: readonly Line[]): readonly Line[] {
  const numbered = lines.filter((line) => line.type === "message").sort((a, b) => a.order - b.order);
  let next = 0;
  const merged = lines.map((line) => (line.type === "message" ? (numbered[next++] ?? line) : line));
  release(merged.slice(0, -MAX_LINES));
  return merged.slice(-MAX_LINES);
}

function forget(key: string): void {
  release(conversations.value.get(key)?.lines ?? []);
  const rest = new Map(conversations.value);
  rest.delete(key);
  conversations.value = rest;
}

/** Gives back the memory of pictures nobody will see again. */
function release(lines: readonly Line[]): void {
  for (const line of lines) if (line.type === "message" && line.picture) URL.revokeObjectURL(line.picture.url);
}

function open(to: Place): void {
  const key = keyOf(to);
  if (!conversations.value.has(key)) conversations.value = new Map(conversations.value).set(key, { to, lines: [], unread: 0 });
}

function update(key: string, change: (conversation: Conversation) => Conversation): void {
  const conversation = conversations.value.get(key);
  if (conversation) conversations.value = new Map(conversations.value).set(key, change(conversation));
}

// --- typing ------------------------------------------------------------------------------------------------------

const timers = new Map<string, number>();
let typingSentAt: number | null = null;

/** Tells the others, at most every two seconds; volatile, since a late "is typing" is worse than none. */
export function typed(key: string): void {
  if (typingSentAt !== null && performance.now() - typingSentAt < TYPING_SENT_EVERY_MS) return;
  typingSentAt = performance.now();
  chatSocket()?.volatile.emit("typing", { to: placeOf(key), typing: true });
}

export function typingEnded(key: string): void {
  if (typingSentAt === null) return;
  typingSentAt = null;
  chatSocket()?.volatile.emit("typing", { to: placeOf(key), typing: false });
}

function showTyping(key: string, name: string, typing: boolean): void {
  const timer = `${key} ${name}`;
  clearTimeout(timers.get(timer));
  timers.delete(timer);
  const others = (typists.value.get(key) ?? []).filter((other) => other !== name);
  typists.value = new Map(typists.value).set(key, typing ? [...others, name] : others);
  if (typing) timers.set(timer, window.setTimeout(() => showTyping(key, name, false), TYPING_SHOWN_MS));
}

// --- what the tab remembers --------------------------------------------------------------------------------------

/** Per tab, so that two tabs are two people. */
function secretKey(): string {
  const key = sessionStorage.getItem("sockeye-key") ?? crypto.randomUUID();
  sessionStorage.setItem("sockeye-key", key);
  return key;
}

function savedRooms(): readonly string[] {
  const saved: unknown = JSON.parse(sessionStorage.getItem("sockeye-rooms") ?? "[]");
  return Array.isArray(saved) ? saved.filter((room) => typeof room === "string") : [];
}
