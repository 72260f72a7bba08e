/** Pictures: what may be shown, and how a big one is made to fit. */

import type { Picture } from "./events";

/** Formats that browsers draw and that cannot carry scripts. The server has the same list. */
const SHOWN = ["image/avif", "image/gif", "image/jpeg", "image/png", "image/webp"];

/** An address for `<img>`, or `null` for a format we do not show. The caller revokes it. */
export function pictureUrl(picture: Picture): string | null {
  if (!SHOWN.includes(picture.type)) return null;
  return URL.createObjectURL(new Blob([picture.bytes], { type: picture.type }));
}

/** Reads a file into a picture of at most `limit` bytes; a bigger one is scaled down. */
export async function readPicture(file: File, limit: number): Promise<Picture> {
  if (!file.type.startsWith("image/")) throw new Error(`${file.name || "this"} is not a picture`);
  if (SHOWN.includes(file.type) && file.size <= limit) return { name: file.name, type: file.type, bytes: await file.arrayBuffer() };
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name} cannot be read as a picture`);
  });
  for (let edge = 1600; edge >= 100; edge *= 0.7) {
    const blob = await redraw(bitmap, edge);
    if (blob.size <= limit) return { name: file.name, type: blob.type, bytes: await blob.arrayBuffer() };
  }
  throw new Error(`${file.name} stays too big`);
}

async function redraw(bitmap: ImageBitmap, edge: number): Promise<Blob> {
  const scale = Math.min(1, edge / Math.max(bitmap.width, bitmap.height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(bitmap.width * scale)), Math.max(1, Math.round(bitmap.height * scale)));
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.82 });
}
