import type { JSX } from "preact";
import { admin, followAdmin, leaveAdmin } from "../admin";
import { quit, resume } from "../chat";
import { chatSocket, dropConnection, mode, type Mode, phase, ping, pings, reason, reconnects, setMode, transport } from "../connection";
import { formatMs } from "../format";
import { phaseText } from "./Header";
import { ModeSwitch } from "./ModeSwitch";
import { Sparkline } from "./Sparkline";

export function ConnectionPanel(): JSX.Element {
  const change = (chosen: Mode): void => {
    setMode(chosen);
    resume();
    followAdmin();
  };
  return (
    <div class="stack">
      <ModeSwitch value={mode.value} onChange={change} />
      <Facts />
      <Latency />
      <Switches />
    </div>
  );
}

function Facts(): JSX.Element {
  const online = phase.value === "online";
  return (
    <dl class="facts">
      <dt>State</dt>
      <dd>{phaseText()}</dd>
      <dt>Transport</dt>
      <dd>{transport.value ? (transport.value.upgraded ? `polling → ${transport.value.name}` : transport.value.name) : "–"}</dd>
      <dt>Socket id</dt>
      <dd class="mono">{online ? chatSocket()?.id : "–"}</dd>
      <dt>Namespaces</dt>
      <dd class="mono">{online ? (admin.value.name === "in" ? "/  /admin" : "/") : "–"}</dd>
      <dt>Reconnections</dt>
      <dd data-testid="reconnects">{reconnects.value}</dd>
      <dt>Last reason</dt>
      <dd>{reason.value ?? "–"}</dd>
    </dl>
  );
}

function Latency(): JSX.Element {
  const values = pings.value;
  const mean = values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  return (
    <section class="card-section">
      <h3>Latency</h3>
      <div class="latency-row">
        <Sparkline values={values} label={`Round trips: ${values.map(formatMs).join(", ")}`} />
        <div class="figures">
          <strong>{values.length === 0 ? "–" : formatMs(values.at(-1) ?? 0)}</strong>
          <span class="muted small">mean {mean === null ? "–" : formatMs(mean)}</span>
        </div>
      </div>
      <button type="button" class="button" disabled={phase.value !== "online"} onClick={() => void ping()}>
        Ping
      </button>
      <p class="muted small">Emits “echo” and waits for its acknowledgement.</p>
    </section>
  );
}

function Switches(): JSX.Element {
  const connected = phase.value === "online";
  return (
    <section class="card-section">
      <h3>Try it</h3>
      <div class="button-row">
        <button type="button" class="button" disabled={!connected} onClick={dropConnection} data-testid="drop">
          Drop the connection
        </button>
        {phase.value === "offline" || phase.value === "ended" ? (
          <button type="button" class="button" onClick={resume}>
            Connect
          </button>
        ) : (
          <button
            type="button"
            class="button"
            onClick={() => {
              leaveAdmin();
              quit();
            }}
          >
            Disconnect
          </button>
        )}
      </div>
      <p class="muted small">Dropping cuts the transport without a word, as a lost network does; the client comes back by itself. Disconnecting is final.</p>
    </section>
  );
}
