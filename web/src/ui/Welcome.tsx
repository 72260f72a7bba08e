import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { enter, nickname } from "../chat";
import { mode, phase, refusal, setMode } from "../connection";
import { Logo } from "./Icons";
import { ModeSwitch } from "./ModeSwitch";

export function Welcome(): JSX.Element {
  const [name, setName] = useState(nickname.value || suggestion());
  const submit = (event: Event): void => {
    event.preventDefault();
    if (name.trim() !== "") enter(name.trim());
  };
  return (
    <main class="welcome">
      <form class="card" onSubmit={submit}>
        <div class="welcome-brand">
          <Logo />
          <h1>Sockeye</h1>
        </div>
        <p class="lead">A small chat over Socket.IO that shows you every packet as it passes.</p>
        <label class="field">
          <span>Your nickname</span>
          <input
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
            onFocus={(event) => event.currentTarget.select()}
            maxLength={24}
            autocomplete="off"
            autofocus
            required
            aria-invalid={phase.value === "refused"}
            data-testid="nickname"
          />
        </label>
        {phase.value === "refused" && refusal.value && (
          <p class="problem" role="alert" data-testid="refusal">
            <strong>{refusal.value.message}</strong>
            {refusal.value.data && ` – ${refusal.value.data.hint}`}
          </p>
        )}
        <ModeSwitch value={mode.value} onChange={setMode} />
        <button type="submit" class="button primary" data-testid="enter">
          Enter
        </button>
      </form>
      <p class="muted small">Open this page in a second window to have somebody to talk to.</p>
    </main>
  );
}

function suggestion(): string {
  const pick = (words: readonly string[]): string => words[Math.floor(Math.random() * words.length)] ?? "";
  return `${pick(["Brisk", "Calm", "Clever", "Copper", "Lively", "Merry", "Quiet", "Scarlet", "Silver", "Swift"])} ${pick([
    "Char",
    "Dolly",
    "Grayling",
    "Inconnu",
    "Kokanee",
    "Otter",
    "Osprey",
    "Salmon",
    "Smolt",
    "Trout",
  ])}`;
}
