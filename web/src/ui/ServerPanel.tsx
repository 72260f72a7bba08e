import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { admin, announce, enterAdmin, kick, leaveAdmin, rates, stats } from "../admin";
import { nickname, people } from "../chat";
import { phase } from "../connection";
import { formatBytes, formatCount, formatDuration } from "../format";
import { Avatar } from "./Avatar";
import { Sparkline } from "./Sparkline";

export function ServerPanel(): JSX.Element {
  return <div class="stack">{admin.value.name === "in" ? <Inside /> : <Gate />}</div>;
}

function Gate(): JSX.Element {
  const [password, setPassword] = useState("");
  const submit = (event: Event): void => {
    event.preventDefault();
    enterAdmin(password);
  };
  return (
    <form class="gate" onSubmit={submit}>
      <h3>
        Namespace <code>/admin</code>
      </h3>
      <p class="muted small">
        A second socket on the same connection, with a password of its own. The server prints the password when it starts. Try a wrong one: the server refuses with a reason.
      </p>
      <label class="field">
        <span>Password</span>
        <input
          type="password"
          value={password}
          onInput={(event) => setPassword(event.currentTarget.value)}
          autocomplete="off"
          required
          aria-invalid={admin.value.name === "refused"}
          data-testid="admin-password"
        />
      </label>
      <Refused />
      <button type="submit" class="button primary" disabled={phase.value !== "online" || admin.value.name === "asking"} data-testid="admin-enter">
        {admin.value.name === "asking" ? "Asking …" : "Enter"}
      </button>
    </form>
  );
}

function Refused(): JSX.Element | null {
  if (admin.value.name !== "refused") return null;
  const { message, data } = admin.value;
  return (
    <div class="problem" role="alert" data-testid="admin-refused">
      <p>
        <strong>Refused: {message}</strong>
      </p>
      {data !== null && (
        <>
          <p>{data.hint}</p>
          <pre>{JSON.stringify(data, null, 2)}</pre>
        </>
      )}
    </div>
  );
}

function Inside(): JSX.Element {
  return (
    <>
      <Figures />
      <Announce />
      <Kick />
      <button type="button" class="button" onClick={leaveAdmin}>
        Leave /admin
      </button>
    </>
  );
}

function Figures(): JSX.Element {
  const now = stats.value;
  if (!now) return <p class="muted">Waiting for the first figures …</p>;
  const latest = rates.value.at(-1);
  return (
    <section class="card-section" data-testid="stats">
      <dl class="tiles">
        <Tile title="Up for" value={formatDuration(now.uptime_seconds)} />
        <Tile title="People" value={formatCount(now.people)} />
        <Tile title="Sessions" value={formatCount(now.sessions)} hint={`${formatCount(now.upgrades)} upgrades so far`} />
        <Tile title="Rooms" value={formatCount(now.rooms)} />
        <Tile title="Messages" value={formatCount(now.messages)} hint={`${formatCount(now.pictures)} with a picture`} />
        <Tile title="Memory" value={now.memory_bytes === null ? "–" : formatBytes(now.memory_bytes)} />
      </dl>
      <Rate title="Received" perSecond={latest?.received ?? 0} total={now.received} values={rates.value.map(({ received }) => received)} tone="accent" />
      <Rate title="Sent" perSecond={latest?.sent ?? 0} total={now.sent} values={rates.value.map(({ sent }) => sent)} tone="calm" />
    </section>
  );
}

function Tile({ title, value, hint }: { title: string; value: string; hint?: string }): JSX.Element {
  return (
    <div class="tile">
      <dt>{title}</dt>
      <dd>{value}</dd>
      {hint !== undefined && <dd class="muted small">{hint}</dd>}
    </div>
  );
}

interface RateProps {
  title: string;
  perSecond: number;
  total: number;
  values: readonly number[];
  tone: "accent" | "calm";
}

function Rate({ title, perSecond, total, values, tone }: RateProps): JSX.Element {
  return (
    <div class="rate">
      <div class="figures">
        <span class="small">{title}</span>
        <strong>{formatCount(perSecond)} /s</strong>
        <span class="muted small">{formatCount(total)} messages</span>
      </div>
      <Sparkline values={values} label={`${title} per second: ${values.join(", ")}`} tone={tone} />
    </div>
  );
}

function Announce(): JSX.Element {
  const [text, setText] = useState("");
  const [answer, setAnswer] = useState<string | null>(null);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const problem = await announce(text.trim());
    setAnswer(problem ?? "Announced to everybody.");
    if (problem === null) setText("");
  };
  return (
    <form class="card-section" onSubmit={(event) => void submit(event)}>
      <h3>Announce</h3>
      <div class="inline-form">
        <input value={text} onInput={(event) => setText(event.currentTarget.value)} maxLength={200} placeholder="To everybody" aria-label="Announcement" data-testid="announce" />
        <button type="submit" class="button" disabled={text.trim() === ""}>
          Send
        </button>
      </div>
      {answer !== null && (
        <p class="small muted" role="status">
          {answer}
        </p>
      )}
    </form>
  );
}

function Kick(): JSX.Element {
  const [problem, setProblem] = useState<string | null>(null);
  const names = Array.from(people.value.keys()).sort((a, b) => a.localeCompare(b));
  return (
    <section class="card-section">
      <h3>End a session</h3>
      <ul class="list">
        {names.map((name) => (
          <li key={name} class="row static">
            <Avatar name={name} />
            <span class="name">
              {name}
              {name === nickname.value && <span class="muted"> (you)</span>}
            </span>
            <button type="button" class="button small" data-kick={name} onClick={() => void kick(name).then(setProblem)}>
              Kick
            </button>
          </li>
        ))}
      </ul>
      {problem !== null && (
        <p class="problem small" role="alert">
          {problem}
        </p>
      )}
    </section>
  );
}
