// A client that is checked against the Rust server's types, and runs against the example `typed_events`.

import { io, type Socket } from 'socket.io-client';
import type { ClientToServerEvents, Order, Receipt, ServerToClientEvents } from './events.js';

declare const process: { readonly argv: readonly string[] };
declare const console: { log(line: string): void };

type Client = Socket<ServerToClientEvents, ClientToServerEvents>;

/** Every kind of event, each way: the arguments and answers have their types without being told. */
async function talk(alice: Client, bob: Client): Promise<void> {
  alice.on('confirm', (number, reply) => reply(number === 1));
  const moved = new Promise<[number, number]>((resolve) => bob.on('moved', (x, y) => resolve([x, y])));
  const ordered = new Promise<Order>((resolve) => bob.on('ordered', resolve));
  const pictured = new Promise<[string, ArrayBuffer | Uint8Array]>((resolve) => {
    bob.on('new picture', (name, bytes) => resolve([name, bytes]));
  });

  const receipt: Receipt = await alice.timeout(5_000).emitWithAck('order', { item: 'tea', count: 2 });
  expect(receipt.number === 1 && receipt.total === 6, 'a receipt');
  expect((await ordered).item === 'tea', 'the order, to others');

  alice.emit('move', 1.5, -2);
  const [x, y] = await moved;
  expect(x === 1.5 && y === -2, 'two arguments');

  const size = await new Promise<number>((resolve) => alice.emit('picture', 'dot', new Uint8Array([1, 2, 3]), resolve));
  expect(size === 3, 'the size of bytes');
  const [name, bytes] = await pictured;
  expect(name === 'dot' && bytes.byteLength === 3, 'bytes');
}

async function connect(): Promise<Client> {
  const client: Client = io(process.argv[2], { forceNew: true, reconnection: false });
  await new Promise<void>((resolve, reject) => {
    client.on('connect', resolve);
    client.on('connect_error', reject);
  });
  return client;
}

function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(`expected ${what}`);
}

const [alice, bob] = [await connect(), await connect()];
await talk(alice, bob);
alice.disconnect();
bob.disconnect();
console.log('ok');
