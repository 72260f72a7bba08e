// A picture made of numbers, so that the test needs no file.

import { crc32, deflateSync } from "node:zlib";

/** A PNG of `width` × `height`: a sunset over water, more or less. */
export function sunset(width, height) {
  return png(width, height, colourAt);
}

/** A PNG that compresses badly, so that few pixels make a big file. */
export function noise(width, height) {
  let state = 1;
  const next = () => (state = (state * 48_271) % 2_147_483_647) & 255;
  return png(width, height, () => [next(), next(), next()]);
}

function png(width, height, colour) {
  const rows = Buffer.alloc((width * 3 + 1) * height);
  let at = 0;
  for (let y = 0; y < height; y += 1) {
    rows[at++] = 0;
    for (let x = 0; x < width; x += 1) for (const channel of colour(x / width, y / height)) rows[at++] = channel;
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}

function colourAt(x, y) {
  const sun = Math.hypot(x - 0.5, (y - 0.5) * 0.62) < 0.13 && y < 0.56;
  if (sun) return [255, 214, 120];
  if (y < 0.56) return [230 - 60 * y, 90 + 130 * y, 110 + 40 * (1 - y)];
  const glitter = Math.abs(x - 0.5) < 0.16 && Math.sin(y * 190) > 0.2;
  return glitter ? [250, 190, 130] : [40 + 40 * (1 - y), 70 + 20 * y, 110];
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const frame = Buffer.alloc(8 + body.length);
  frame.writeUInt32BE(data.length, 0);
  frame.set(body, 4);
  frame.writeUInt32BE(crc32(body), 4 + body.length);
  return frame;
}
