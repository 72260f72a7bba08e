import type { JSX, TargetedEvent } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { conversations, current, type Line, type MessageLine, nickname, people, placeOf, rooms, typists } from "../chat";
import { formatMs, formatTime } from "../format";
import { Avatar } from "./Avatar";
import { Composer } from "./Composer";

export function Conversation(): JSX.Element {
  const key = current.value;
  return (
    <main class="conversation">
      <Title />
      <Lines key={key} lines={conversations.value.get(key)?.lines ?? []} />
      <Typists names={typists.value.get(key) ?? []} />
      <Composer key={key} to={key} />
    </main>
  );
}

function Title(): JSX.Element {
  const place = placeOf(current.value);
  const subtitle =
    "room" in place
      ? `${rooms.value.find(({ name }) => name === place.room)?.members ?? 0} here`
      : people.value.has(place.person)
        ? "private · online"
        : "private · offline";
  return (
    <div class="title">
      <h2 data-testid="title">{"room" in place ? `# ${place.room}` : place.person}</h2>
      <span class="muted small">{subtitle}</span>
    </div>
  );
}

function Lines({ lines }: { lines: readonly Line[] }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  // Stay at the end, unless somebody scrolled up to read.
  const stay = (): void => {
    if (box.current && following.current) box.current.scrollTop = box.current.scrollHeight;
  };
  useEffect(stay, [lines]);
  useEffect(() => {
    if (!box.current) return;
    const observer = new ResizeObserver(stay);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const scrolled = (event: TargetedEvent<HTMLDivElement>): void => {
    const { scrollTop, clientHeight, scrollHeight } = event.currentTarget;
    following.current = scrollTop + clientHeight > scrollHeight - 60;
  };
  return (
    <div class="lines" ref={box} onScroll={scrolled} role="log" aria-label="Messages" tabIndex={0} data-testid="lines">
      {lines.length === 0 && <p class="muted empty-lines">No messages yet. Say something, or drop a picture here.</p>}
      {lines.map((line, index) =>
        line.type === "notice" ? (
          <p key={line.key} class="notice">
            {line.text} <time>{formatTime(line.at)}</time>
          </p>
        ) : (
          <MessageRow key={line.key} line={line} follows={isSameAuthor(lines[index - 1], line)} isLast={!isFollowed(line, lines[index + 1])} onLoad={stay} />
        ),
      )}
    </div>
  );
}

function isSameAuthor(before: Line | undefined, line: MessageLine): boolean {
  return before?.type === "message" && before.from === line.from && line.at - before.at < 300_000;
}

function isFollowed(line: MessageLine, next: Line | undefined): boolean {
  return next?.type === "message" && isSameAuthor(line, next);
}

function MessageRow({ line, follows, isLast, onLoad }: { line: MessageLine; follows: boolean; isLast: boolean; onLoad: () => void }): JSX.Element {
  const mine = line.from === nickname.value;
  return (
    <article class={`message ${mine ? "mine" : ""} ${follows ? "follows" : ""}`}>
      {!mine && (follows ? <span class="avatar-space" /> : <Avatar name={line.from} />)}
      <div class="bubble-column">
        {!mine && !follows && <span class="author">{line.from}</span>}
        <div class="bubble">
          {line.picture && <PictureView picture={line.picture} onLoad={onLoad} />}
          {line.text !== "" && <p>{line.text}</p>}
        </div>
        {(mine || isLast) && (
          <span class="meta">
            <time>{formatTime(line.at)}</time>
            {line.delivery && <Delivery delivery={line.delivery} />}
          </span>
        )}
      </div>
    </article>
  );
}

function PictureView({ picture, onLoad }: { picture: { name: string; url: string }; onLoad: () => void }): JSX.Element {
  if (picture.url === "") return <p class="muted">{picture.name}: a format this page does not show</p>;
  return (
    <a href={picture.url} target="_blank" rel="noopener" class="picture">
      <img src={picture.url} alt={picture.name} onLoad={onLoad} />
    </a>
  );
}

function Delivery({ delivery }: { delivery: NonNullable<MessageLine["delivery"]> }): JSX.Element {
  switch (delivery.state) {
    case "sending":
      return <span class="delivery">sending …</span>;
    case "delivered":
      return (
        <span class="delivery ok" title="Time until the server's acknowledgement" data-testid="delivered">
          ✓ delivered in {formatMs(delivery.ms)}
        </span>
      );
    case "failed":
      return (
        <span class="delivery failed" role="alert">
          {delivery.why}{" "}
          <button type="button" class="link" onClick={delivery.retry}>
            try again
          </button>
        </span>
      );
  }
}

function Typists({ names }: { names: readonly string[] }): JSX.Element {
  const text = names.length === 0 ? "" : names.length === 1 ? `${names[0]} is typing` : names.length === 2 ? `${names[0]} and ${names[1]} are typing` : "Several people are typing";
  return (
    <p class="typists" aria-live="polite" data-testid="typing">
      {text !== "" && (
        <>
          <span class="typing-dots" aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
          {text}
        </>
      )}
    </p>
  );
}
