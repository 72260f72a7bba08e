import { signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

export const theme = signal<Theme>(saved());

/** The style sheet follows `color-scheme`; this only says which one. */
export function applyTheme(): void {
  document.documentElement.style.colorScheme = theme.value === "system" ? "light dark" : theme.value;
}

export function nextTheme(): void {
  theme.value = theme.value === "system" ? "light" : theme.value === "light" ? "dark" : "system";
  localStorage.setItem("sockeye-theme", theme.value);
  applyTheme();
}

function saved(): Theme {
  const name = localStorage.getItem("sockeye-theme");
  return name === "light" || name === "dark" ? name : "system";
}
