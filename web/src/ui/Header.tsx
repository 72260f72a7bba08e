import type { JSX } from "preact";
import { attempt, phase, ping, pings, reason, transport } from "../connection";
import { formatMs } from "../format";
import { Icon, Logo } from "./Icons";
import { nextTheme, theme } from "./theme";
import { hidePanel, panel, showPanel } from "./view";

export function Header(): JSX.Element {
  return (
    <header class="header">
      <h1 class="brand">
        <Logo /> <span>Sockeye</span>
      </h1>
      <ConnectionPill />
      <LatencyButton />
      <span class="spacer" />
      <button type="button" class="icon-button" aria-label={`Colours: ${theme.value}`} title={`Colours: ${theme.value}`} onClick={nextTheme}>
        <Icon name={theme.value} />
      </button>
      <button
        type="button"
        class="icon-button wide-only"
        aria-label="Inspector"
        title="Inspector"
        aria-pressed={panel.value !== null}
        onClick={() => (panel.value === null ? showPanel("wire") : hidePanel())}
      >
        <Icon name="wire" />
      </button>
    </header>
  );
}

function ConnectionPill(): JSX.Element {
  return (
    <button type="button" class="pill" data-phase={phase.value} data-testid="status" onClick={() => showPanel("connection")} title="Connection">
      <span class="dot" aria-hidden="true" />
      <span class="pill-text" role="status">
        {phaseText()}
      </span>
      {phase.value === "online" && transport.value && <TransportTrail />}
    </button>
  );
}

function TransportTrail(): JSX.Element {
  return (
    <span class="trail" data-testid="transport">
      {transport.value?.upgraded && (
        <>
          <span class="old">polling</span> <span aria-label="upgraded to">→</span>{" "}
        </>
      )}
      <span class="new" key={transport.value?.name}>
        {transport.value?.name}
      </span>
    </span>
  );
}

function LatencyButton(): JSX.Element | null {
  if (phase.value !== "online") return null;
  const latest = pings.value.at(-1);
  return (
    <button type="button" class="pill latency" onClick={() => void ping()} title="Send an event and time its acknowledgement" data-testid="ping">
      <Icon name="bolt" /> {latest === undefined ? "ping" : formatMs(latest)}
    </button>
  );
}

export function phaseText(): string {
  switch (phase.value) {
    case "online":
      return "connected";
    case "connecting":
      return "connecting …";
    case "reconnecting":
      return attempt.value > 0 ? `reconnecting, attempt ${attempt.value}` : "reconnecting …";
    case "ended":
      return "ended by the server";
    case "refused":
      return `refused: ${reason.value ?? ""}`;
    case "offline":
      return "not connected";
  }
}
