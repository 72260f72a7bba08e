/** Drawn for this page, 20 × 20, in the colour of the text. */

import type { JSX } from "preact";

type IconName = "admin" | "bolt" | "chat" | "clear" | "close" | "edit" | "image" | "pause" | "people" | "play" | "plus" | "send" | "system" | "light" | "dark" | "wire" | "window";

const PATHS: Record<IconName, string> = {
  admin: "M10 2.5l6 2.2v4.5c0 3.7-2.5 6.7-6 8.3-3.5-1.6-6-4.6-6-8.3V4.7zM7.5 10l1.8 1.8 3.4-3.6",
  bolt: "M11 2.5L4.5 11.5H10l-1 6 6.5-9H10z",
  chat: "M3.5 5.5a2 2 0 0 1 2-2h9a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H9l-3.5 3v-3a2 2 0 0 1-2-2z",
  clear: "M4 6h12M8 6V4h4v2m-6.5 0l.7 10h7.6l.7-10",
  close: "M5 5l10 10M15 5L5 15",
  edit: "M4 16l.8-3.6L13.6 3.6l2.8 2.8L7.6 15.2zM12 5.2L14.8 8",
  image: "M3.5 4.5h13v11h-13zM3.5 13l3.7-3.7 3 3 2.3-2.3 4 4M13 7.5h.01",
  pause: "M7 4.5v11M13 4.5v11",
  people: "M7.5 9.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2 16.5c0-3 2.3-4.8 5.5-4.8s5.5 1.8 5.5 4.8M13 9.2a2.7 2.7 0 0 0 0-5.2M15 12.2c1.8.6 3 2 3 4.3",
  play: "M6.5 4l9 6-9 6z",
  plus: "M10 4v12M4 10h12",
  send: "M3.5 9.8L16.5 3.5 13 16.5l-3.3-5z",
  system: "M3 4.5h14v9H3zM7.5 16.5h5M10 13.5v3",
  light: "M10 13.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM10 2v1.5M10 16.5V18M2 10h1.5M16.5 10H18M4.4 4.4l1 1M14.6 14.6l1 1M4.4 15.6l1-1M14.6 5.4l1-1",
  dark: "M16.5 11.5A7 7 0 0 1 8.5 3.5a7 7 0 1 0 8 8z",
  wire: "M2.5 6.5h11m-3-3l3 3-3 3M17.5 13.5h-11m3-3l-3 3 3 3",
  window: "M3 4h9v4M3 4v9h4M8 8h9v8.5H8z",
};

export function Icon({ name, title }: { name: IconName; title?: string }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden={title === undefined} role={title === undefined ? undefined : "img"} aria-label={title}>
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Logo(): JSX.Element {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <path class="body" d="M9.5 16C11.8 10.9 16.4 8 21 8c1.2 0 2.3.2 3.3.5C22.9 10.5 22 13.1 22 16s.9 5.5 2.3 7.5c-1 .3-2.1.5-3.3.5-4.6 0-9.2-2.9-11.5-8Z" />
      <path class="body" d="M11 16 3.5 9.5c-.8-.7-1.9.1-1.5 1.1L4 16l-2 5.4c-.4 1 .7 1.8 1.5 1.1L11 16Z" />
      <path class="head" d="M24.3 8.5C28.3 9.8 30.5 13.3 31 16c-.5 2.7-2.7 6.2-6.7 7.5C22.9 21.5 22 18.9 22 16s.9-5.5 2.3-7.5Z" />
      <circle class="eye" cx="26.2" cy="14" r="1.3" />
    </svg>
  );
}
