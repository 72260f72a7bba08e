// Made from the events of the Rust server. Do not edit.

/**
 * What is wanted.
 */
export type Order = { 
/**
 * Of what.
 */
item: string, 
/**
 * How many.
 */
count: number, };

/**
 * The answer to an [`Order`].
 */
export type Receipt = { 
/**
 * Of the order.
 */
number: number, 
/**
 * What it costs.
 */
total: number, };

export interface ServerToClientEvents {
  moved: (...args: [number, number]) => void;
  ordered: (arg: Order) => void;
  confirm: (arg: number, reply: (value: boolean) => void) => void;
  "new picture": (...args: [string, ArrayBuffer | Uint8Array]) => void;
}

export interface ClientToServerEvents {
  order: (arg: Order, reply: (value: Receipt) => void) => void;
  move: (...args: [number, number]) => void;
  picture: (...args: [string, ArrayBuffer | Uint8Array, (value: number) => void]) => void;
}
