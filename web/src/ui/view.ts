/** What is on the screen: which side panel, and on a phone which of the tabs. */

import { signal } from "@preact/signals";

export type Panel = "connection" | "wire" | "server";
export type Tab = "chat" | "people" | "panel";

/** The panel at the right; `null` hides it. On a narrow screen it covers the chat. */
export const panel = signal<Panel | null>(window.matchMedia("(min-width: 1100px)").matches ? "wire" : null);
/** Only a phone looks at this. */
export const tab = signal<Tab>("chat");

export function showPanel(wanted: Panel): void {
  panel.value = wanted;
  tab.value = "panel";
}

export function hidePanel(): void {
  panel.value = null;
  tab.value = "chat";
}

export function showTab(wanted: Exclude<Tab, "panel">): void {
  tab.value = wanted;
  // On a phone the panel is a page of its own; leaving it closes it.
  if (window.matchMedia("(max-width: 1099px)").matches) panel.value = null;
}
