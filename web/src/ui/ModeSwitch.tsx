import type { JSX } from "preact";
import type { Mode } from "../connection";

const MODES: readonly { mode: Mode; title: string; hint: string }[] = [
  { mode: "upgrade", title: "Upgrade", hint: "Start with HTTP long-polling, move to WebSocket" },
  { mode: "polling", title: "Polling", hint: "HTTP long-polling only" },
  { mode: "websocket", title: "WebSocket", hint: "WebSocket only" },
];

export function ModeSwitch({ value, onChange }: { value: Mode; onChange: (mode: Mode) => void }): JSX.Element {
  return (
    <fieldset class="segments">
      <legend>Transport</legend>
      <div class="segment-row">
        {MODES.map(({ mode, title, hint }) => (
          <label key={mode} title={hint}>
            <input type="radio" name="mode" value={mode} checked={mode === value} onChange={() => onChange(mode)} data-testid={`mode-${mode}`} />
            <span>{title}</span>
          </label>
        ))}
      </div>
      <p class="muted small">{MODES.find(({ mode }) => mode === value)?.hint}</p>
    </fieldset>
  );
}
