// Mistakes of a client, each with the error that the compiler must find in its line. Never run.

import type { Socket } from 'socket.io-client';
import type { ClientToServerEvents, ServerToClientEvents } from './events.js';

declare const socket: Socket<ServerToClientEvents, ClientToServerEvents>;

socket.emit('ordr', { item: 'tea', count: 2 }, () => {}); // TS2345: no such event
socket.emit('ordered', { item: 'tea', count: 2 }); // TS2345: an event of the other direction
socket.emit('order', 'tea', () => {}); // TS2345: an argument of another type
socket.emit('order', { item: 'tea' }, () => {}); // TS2741: a field is missing
socket.emit('order', { item: 'tea', count: 2 }); // TS2554: nobody takes the answer
socket.emit('move', 1); // TS2554: an argument is missing
socket.emit('move', 1, 2, 3); // TS2554: an argument too many
socket.emit('picture', 'dot', 'no bytes', () => {}); // TS2345: a string is no bytes
socket.on('order', () => {}); // TS2345: an event of the other direction
socket.on('moved', (x: string) => x); // TS2345: a handler of another type
socket.on('confirm', (number, reply) => reply(`${number}`)); // TS2345: an answer of another type
export const total: number = await socket.emitWithAck('order', { item: 'tea', count: 2 }); // TS2322: an answer of another type
