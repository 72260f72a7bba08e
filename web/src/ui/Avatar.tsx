import type { JSX } from "preact";
import { hueOf } from "../format";

export function Avatar({ name }: { name: string }): JSX.Element {
  const initials = name.split(/[\s._-]+/).filter((part) => part !== "").slice(0, 2).map((part) => Array.from(part)[0]).join("");
  return (
    <span class="avatar" style={{ "--hue": hueOf(name) }} aria-hidden="true">
      {initials.toUpperCase()}
    </span>
  );
}
