// HTTP and WebSocket byte by byte, so that tests can also be wrong on purpose.

import { randomBytes } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import { until, within } from './time.mjs';

const PATH = '/socket.io/';

/** One HTTP request on a connection of its own: `{ status, headers, body }`. */
export function request(server, { method = 'GET', path = PATH, query = {}, headers = {}, body, agent = false } = {}) {
  const text = typeof query === 'string' ? query : new URLSearchParams(query).toString();
  const sent = http.request({ host: '127.0.0.1', port: server.port, method, path: text ? `${path}?${text}` : path, headers, agent });
  const answer = new Promise((resolve, reject) => {
    sent.on('error', reject);
    sent.on('response', (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() }));
    });
  });
  sent.end(body);
  const answered = within(10_000, answer, `the answer to ${method} ${path}?${text.slice(0, 100)}`);
  answered.abort = () => sent.destroy();
  return answered;
}

/** A session over HTTP polling. */
export class Polling {
  static async open(server, query = {}) {
    const polling = new Polling();
    polling.server = server;
    polling.query = { EIO: '4', transport: 'polling', ...query };
    const answer = await request(server, { query: polling.query });
    if (answer.status !== 200) {
      throw new Error(`handshake refused: ${answer.status} ${answer.body}`);
    }
    polling.handshake = JSON.parse(answer.body.slice(answer.body.indexOf('{')));
    polling.query = { ...polling.query, sid: polling.handshake.sid };
    return polling;
  }

  /** Joins the main namespace as well. */
  static async joined(server, query) {
    const polling = await Polling.open(server, query);
    await polling.post('40');
    await polling.receive('40');
    return polling;
  }

  get() {
    return request(this.server, { query: this.query });
  }

  post(body, headers = { 'content-type': 'text/plain;charset=UTF-8' }) {
    return request(this.server, { method: 'POST', query: this.query, headers, body });
  }

  /** Polls until a packet starts with `start`; gives all packets so far. */
  async receive(start) {
    const packets = [];
    while (!packets.some((packet) => packet.startsWith(start))) {
      const { status, body } = await this.get();
      if (status !== 200) {
        throw new Error(`poll refused: ${status} ${body}; before it came ${JSON.stringify(packets)}`);
      }
      packets.push(...body.split('\x1e'));
    }
    return packets;
  }

  /** Resolves when the server no longer knows the session. */
  async gone() {
    for (;;) {
      const { status, body } = await this.get();
      if (status === 400) {
        return body;
      }
    }
  }
}

/** A WebSocket made by hand. */
export class Raw {
  /** Connects and upgrades; `early` are bytes sent in the same segment as the request. */
  static async open(server, query = {}, { early = Buffer.alloc(0), headers = {} } = {}) {
    const raw = new Raw();
    raw.socket = net.connect(server.port, '127.0.0.1');
    raw.socket.setNoDelay(true);
    raw.socket.on('error', () => {});
    raw.buffer = Buffer.alloc(0);
    raw.messages = [];
    raw.ended = false;
    raw.socket.on('close', () => { raw.ended = true; });
    raw.socket.on('data', (data) => raw.read(data));
    raw.head = undefined;
    raw.closeCode = undefined;
    const text = new URLSearchParams({ EIO: '4', transport: 'websocket', ...query });
    const lines = {
      Host: `127.0.0.1:${server.port}`, Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': randomBytes(16).toString('base64'), ...headers,
    };
    const head = Object.entries(lines).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}\r\n`).join('');
    raw.socket.write(Buffer.concat([Buffer.from(`GET ${PATH}?${text} HTTP/1.1\r\n${head}\r\n`), early]));
    await until(() => raw.head !== undefined || raw.ended, 'the answer to a WebSocket handshake');
    return raw;
  }

  /** A session over WebSocket alone, in the main namespace. */
  static async joined(server, query) {
    const raw = await Raw.open(server, query);
    await raw.receive('0');
    raw.text('40');
    await raw.receive('40');
    return raw;
  }

  get status() {
    return Number(/^HTTP\/1\.1 (\d+)/.exec(this.head ?? '')?.[1] ?? 0);
  }

  text(text) {
    this.write(frame(0x1, Buffer.from(text)));
  }

  binary(bytes) {
    this.write(frame(0x2, Buffer.from(bytes)));
  }

  write(bytes) {
    this.socket.write(bytes);
  }

  /** Waits for a message that starts with `start` (text) or, without one, for a binary message; gives it. */
  async receive(start) {
    const fits = (message) => (start === undefined ? Buffer.isBuffer(message) : typeof message === 'string' && message.startsWith(start));
    const at = await until(() => {
      const found = this.messages.findIndex(fits);
      if (found < 0 && this.ended) {
        throw new Error(`the connection ended (${this.closeCode}) before "${start}"; it said ${JSON.stringify(this.messages)}`);
      }
      return found < 0 ? undefined : { found };
    }, () => `"${start}"; got ${JSON.stringify(this.messages)}`);
    return this.messages.splice(at.found, 1)[0];
  }

  /** Resolves when the server has ended the connection; gives the close code, if it sent one. */
  async closed(milliseconds = 5_000) {
    await until(() => this.ended, 'the server to close the connection', milliseconds);
    return this.closeCode;
  }

  end() {
    this.socket.destroy();
  }

  read(data) {
    this.buffer = Buffer.concat([this.buffer, data]);
    if (this.head === undefined) {
      const end = this.buffer.indexOf('\r\n\r\n');
      if (end < 0) {
        return;
      }
      this.head = this.buffer.subarray(0, end + 4).toString();
      this.buffer = this.buffer.subarray(end + 4);
    }
    if (this.status === 101) {
      this.frames();
    }
  }

  frames() {
    while (this.buffer.length >= 2) {
      const short = this.buffer[1] & 0x7f;
      const size = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (this.buffer.length < size) {
        return;
      }
      const length = short < 126 ? short : short === 126 ? this.buffer.readUInt16BE(2) : Number(this.buffer.readBigUInt64BE(2));
      if (this.buffer.length < size + length) {
        return;
      }
      const payload = Buffer.from(this.buffer.subarray(size, size + length));
      this.take(this.buffer[0], payload);
      this.buffer = this.buffer.subarray(size + length);
    }
  }

  take(first, payload) {
    switch (first & 0x0f) {
      case 0x1: return void this.messages.push(payload.toString());
      case 0x2: return void this.messages.push(payload);
      case 0x8: {
        this.closeCode = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
        return void this.write(frame(0x8, payload.subarray(0, 2)));
      }
      case 0x9: return void this.write(frame(0xa, payload));
      default:
    }
  }
}

/** A frame as a client sends it; every field can be made wrong. */
export function frame(opcode, payload, { fin = true, rsv = 0, masked = true, length = payload.length } = {}) {
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const bit = masked ? 0x80 : 0;
  let head;
  if (length < 126) {
    head = Buffer.from([first, bit | length]);
  } else if (length < 65_536) {
    head = Buffer.from([first, bit | 126, length >> 8, length & 0xff]);
  } else {
    head = Buffer.alloc(10);
    head[0] = first;
    head[1] = bit | 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  if (!masked) {
    return Buffer.concat([head, payload]);
  }
  const mask = randomBytes(4);
  const body = Buffer.from(payload.map((byte, i) => byte ^ mask[i % 4]));
  return Buffer.concat([head, mask, body]);
}
