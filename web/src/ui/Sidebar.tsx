import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { conversations, current, join, keyOf, leave, nickname, people, quit, rooms, serverVersion, show } from "../chat";
import { phase } from "../connection";
import { Avatar } from "./Avatar";
import { Icon } from "./Icons";
import { showTab } from "./view";

export function Sidebar(): JSX.Element {
  return (
    <nav class="sidebar" aria-label="Rooms and people">
      <Me />
      <RoomList />
      <PeopleList />
      {serverVersion.value !== null && <p class="muted small version">sockeye {serverVersion.value}</p>}
    </nav>
  );
}

function Me(): JSX.Element {
  const rename = (): void => {
    quit();
    phase.value = "offline";
    nickname.value = "";
  };
  return (
    <div class="me">
      <Avatar name={nickname.value} />
      <span class="name" data-testid="me">
        {nickname.value}
      </span>
      <button type="button" class="icon-button" aria-label="Change nickname" title="Change nickname" onClick={rename}>
        <Icon name="edit" />
      </button>
    </div>
  );
}

function RoomList(): JSX.Element {
  return (
    <section>
      <h2>Rooms</h2>
      <ul class="list" data-testid="rooms">
        {rooms.value.map(({ name, members, joined }) => (
          <RoomRow key={name} name={name} members={members} joined={joined} />
        ))}
      </ul>
      <NewRoom />
    </section>
  );
}

function RoomRow({ name, members, joined }: { name: string; members: number; joined: boolean }): JSX.Element {
  const key = keyOf({ room: name });
  const unread = conversations.value.get(key)?.unread ?? 0;
  const select = (): void => {
    if (joined) show(key);
    else void join(name);
    showTab("chat");
  };
  return (
    <li class="row">
      <button type="button" class="row-main" aria-current={joined && current.value === key} onClick={select} data-room={name}>
        <span class="hash" aria-hidden="true">
          #
        </span>
        <span class="name">{name}</span>
        {unread > 0 ? (
          <span class="badge" aria-label={`${unread} unread`}>
            {unread}
          </span>
        ) : (
          <span class="count" title={`${members} in this room`}>
            {joined ? members : `join · ${members}`}
          </span>
        )}
      </button>
      {joined && name !== "lobby" && (
        <button type="button" class="icon-button row-action" aria-label={`Leave ${name}`} title="Leave" onClick={() => void leave(name)}>
          <Icon name="close" />
        </button>
      )}
    </li>
  );
}

function NewRoom(): JSX.Element {
  const [name, setName] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const room = name.trim().replace(/^#/, "");
    if (room === "") return;
    const refused = await join(room);
    setProblem(refused);
    if (refused !== null) return;
    setName("");
    showTab("chat");
  };
  return (
    <form class="inline-form" onSubmit={(event) => void submit(event)}>
      <input
        value={name}
        onInput={(event) => setName(event.currentTarget.value)}
        placeholder="Join or create a room"
        aria-label="Join or create a room"
        maxLength={32}
        data-testid="new-room"
      />
      <button type="submit" class="icon-button" aria-label="Join" disabled={name.trim() === ""}>
        <Icon name="plus" />
      </button>
      {problem !== null && (
        <p class="problem small" role="alert">
          {problem}
        </p>
      )}
    </form>
  );
}

function PeopleList(): JSX.Element {
  const others = Array.from(people.value.keys())
    .filter((name) => name !== nickname.value)
    .sort((a, b) => a.localeCompare(b));
  // Somebody we talked with stays in the list when they are gone.
  const gone = Array.from(conversations.value.keys())
    .filter((key) => key.startsWith("@") && !people.value.has(key.slice(1)))
    .map((key) => key.slice(1));
  return (
    <section>
      <h2>
        People <span class="count">{people.value.size} online</span>
      </h2>
      {others.length === 0 && (
        <p class="muted small empty">
          Nobody else is here.{" "}
          <a href={location.href} target="_blank" rel="noopener">
            Open a second window
          </a>
        </p>
      )}
      <ul class="list" data-testid="people">
        {others.map((name) => (
          <PersonRow key={name} name={name} online />
        ))}
        {gone.map((name) => (
          <PersonRow key={name} name={name} online={false} />
        ))}
      </ul>
    </section>
  );
}

function PersonRow({ name, online }: { name: string; online: boolean }): JSX.Element {
  const key = keyOf({ person: name });
  const unread = conversations.value.get(key)?.unread ?? 0;
  const select = (): void => {
    show(key);
    showTab("chat");
  };
  return (
    <li class="row">
      <button type="button" class="row-main" aria-current={current.value === key} onClick={select} data-person={name} title={`Write to ${name}`}>
        <span class={`presence ${online ? "online" : "offline"}`}>
          <Avatar name={name} />
        </span>
        <span class="name">{name}</span>
        {unread > 0 && (
          <span class="badge" aria-label={`${unread} unread`}>
            {unread}
          </span>
        )}
        {!online && <span class="count">offline</span>}
      </button>
    </li>
  );
}
