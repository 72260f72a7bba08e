import type { JSX, TargetedEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { formatBytes, formatCount, formatPrecise } from "../format";
import { clearLog, entries, filter, missed, paused, showHeartbeats, togglePause, totals, visibleEntries, type WireEntry } from "../wire";
import { Icon } from "./Icons";

export function WirePanel(): JSX.Element {
  return (
    <div class="wire">
      <Tools />
      <Log rows={visibleEntries.value} />
      <p class="wire-totals muted small">
        <span>↓ {formatCount(totals.value.packetsIn)} packets, {formatBytes(totals.value.bytesIn)}</span>
        <span>↑ {formatCount(totals.value.packetsOut)} packets, {formatBytes(totals.value.bytesOut)}</span>
      </p>
    </div>
  );
}

function Tools(): JSX.Element {
  return (
    <div class="wire-tools">
      <input
        type="search"
        value={filter.value}
        onInput={(event) => (filter.value = event.currentTarget.value)}
        placeholder="Filter, e.g. ack in"
        aria-label="Filter the packets"
        data-testid="wire-filter"
      />
      <button
        type="button"
        class="toggle"
        aria-pressed={showHeartbeats.value}
        title="Show heartbeats"
        onClick={() => (showHeartbeats.value = !showHeartbeats.value)}
      >
        ♥
      </button>
      <button type="button" class="icon-button" aria-label={paused.value ? "Go on" : "Pause"} title={paused.value ? "Go on" : "Pause"} aria-pressed={paused.value} onClick={togglePause} data-testid="wire-pause">
        <Icon name={paused.value ? "play" : "pause"} />
      </button>
      <button type="button" class="icon-button" aria-label="Clear" title="Clear" onClick={clearLog}>
        <Icon name="clear" />
      </button>
    </div>
  );
}

function Log({ rows }: { rows: readonly WireEntry[] }): JSX.Element {
  const box = useRef<HTMLOListElement>(null);
  const following = useRef(true);
  useEffect(() => {
    if (box.current && following.current) box.current.scrollTop = box.current.scrollHeight;
  }, [rows]);
  const scrolled = (event: TargetedEvent<HTMLOListElement>): void => {
    const { scrollTop, clientHeight, scrollHeight } = event.currentTarget;
    following.current = scrollTop + clientHeight > scrollHeight - 40;
  };
  return (
    <>
      <ol class="wire-log" ref={box} onScroll={scrolled} tabIndex={0} aria-label="Packets" data-testid="wire">
        {rows.map((entry) => (entry.reading ? <PacketRow key={entry.key} entry={entry} /> : <NoteRow key={entry.key} entry={entry} />))}
        {rows.length === 0 && <li class="muted empty-lines">{entries.value.length === 0 ? "Nothing passed yet." : "Nothing matches the filter."}</li>}
      </ol>
      {paused.value && (
        <p class="wire-paused small" role="status">
          Paused. {missed.value} packets passed unseen.
        </p>
      )}
    </>
  );
}

function NoteRow({ entry }: { entry: WireEntry }): JSX.Element {
  return (
    <li class="wire-note">
      <time>{formatPrecise(entry.at)}</time> {entry.text}
    </li>
  );
}

function PacketRow({ entry }: { entry: WireEntry }): JSX.Element | null {
  const [open, setOpen] = useState(false);
  const row = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (open) row.current?.scrollIntoView({ block: "nearest" });
  }, [open]);
  const { reading } = entry;
  if (!reading) return null;
  return (
    <li ref={row} class={`packet ${entry.direction}`} data-kind={reading.kind}>
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span class="arrow" aria-label={entry.direction === "in" ? "received" : "sent"}>
          {entry.direction === "in" ? "↓" : "↑"}
        </span>
        <time>{formatPrecise(entry.at)}</time>
        <span class="kind">{reading.kind}</span>
        <span class="via">{entry.transport === "websocket" ? "ws" : entry.transport === "polling" ? "http" : entry.transport}</span>
        <span class="size">{formatBytes(reading.bytes)}</span>
        <code class="raw">{reading.raw}</code>
      </button>
      {open && (
        <div class="packet-details">
          <p class="small">{reading.meaning}</p>
          {reading.json !== undefined && <pre>{masked(JSON.stringify(reading.json, null, 2))}</pre>}
        </div>
      )}
    </li>
  );
}

function masked(json: string): string {
  return json.replace(/"(password|key)": "(?:\\.|[^"\\])*"/g, '"$1": "•••"');
}
