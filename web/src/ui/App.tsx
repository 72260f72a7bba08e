import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { announcement, current, goodbye, nickname, resume, show, unreadTotal } from "../chat";
import { phase } from "../connection";
import { ConnectionPanel } from "./ConnectionPanel";
import { Conversation } from "./Conversation";
import { Header } from "./Header";
import { Icon } from "./Icons";
import { ServerPanel } from "./ServerPanel";
import { Sidebar } from "./Sidebar";
import { hidePanel, panel, showPanel, showTab, tab } from "./view";
import { Welcome } from "./Welcome";
import { WirePanel } from "./WirePanel";

export function App(): JSX.Element {
  useEffect(() => {
    // A reloaded tab comes back as who it was.
    if (nickname.value !== "") resume();
    const escape = (event: KeyboardEvent): void => {
      if (event.key === "Escape" && window.matchMedia("(max-width: 1099px)").matches) hidePanel();
    };
    const seen = (): void => {
      if (!document.hidden) show(current.value);
    };
    window.addEventListener("keydown", escape);
    document.addEventListener("visibilitychange", seen);
    return () => {
      window.removeEventListener("keydown", escape);
      document.removeEventListener("visibilitychange", seen);
    };
  }, []);
  useEffect(() => {
    document.title = unreadTotal.value > 0 ? `(${unreadTotal.value}) Sockeye` : "Sockeye";
  }, [unreadTotal.value]);

  if (nickname.value === "" || phase.value === "refused") return <Welcome />;
  return (
    <div class="app" data-tab={tab.value} data-panel={panel.value ?? "none"}>
      <Header />
      <Banners />
      <Sidebar />
      <Conversation />
      {panel.value !== null && <SidePanel />}
      <PhoneTabs />
    </div>
  );
}

function Banners(): JSX.Element {
  return (
    <div class="banners" aria-live="polite">
      {phase.value === "ended" && (
        <div class="banner warn" data-testid="ended">
          <span>{FAREWELLS[goodbye.value ?? ""] ?? "The server ended the session."}</span>
          <button type="button" class="button" onClick={resume}>
            Connect again
          </button>
        </div>
      )}
      {announcement.value !== null && (
        <div class="banner" data-testid="announcement">
          <span>
            <strong>Announcement</strong> {announcement.value}
          </span>
          <button type="button" class="icon-button" aria-label="Dismiss" onClick={() => (announcement.value = null)}>
            <Icon name="close" />
          </button>
        </div>
      )}
    </div>
  );
}

const FAREWELLS: Record<string, string> = {
  kicked: "An administrator ended your session.",
  replaced: "You connected from somewhere else with this nickname; that session took over.",
};

function SidePanel(): JSX.Element {
  return (
    <aside class="panel" aria-label="Inspector">
      <div class="panel-tabs" role="tablist" aria-label="Inspector">
        <PanelTab name="wire" title="Wire" />
        <PanelTab name="connection" title="Connection" />
        <PanelTab name="server" title="Admin" />
        <button type="button" class="icon-button panel-close" aria-label="Hide this panel" onClick={hidePanel}>
          <Icon name="close" />
        </button>
      </div>
      <div class="panel-body" role="tabpanel" id="panel-body">
        {panel.value === "wire" && <WirePanel />}
        {panel.value === "connection" && <ConnectionPanel />}
        {panel.value === "server" && <ServerPanel />}
      </div>
    </aside>
  );
}

function PanelTab({ name, title }: { name: "connection" | "wire" | "server"; title: string }): JSX.Element {
  return (
    <button type="button" role="tab" aria-selected={panel.value === name} aria-controls="panel-body" data-testid={`tab-${name}`} onClick={() => showPanel(name)}>
      {title}
    </button>
  );
}

function PhoneTabs(): JSX.Element {
  const shown = tab.value === "panel" ? panel.value : tab.value;
  return (
    <nav class="phone-tabs" aria-label="Views">
      <button type="button" aria-current={shown === "chat"} onClick={() => showTab("chat")}>
        <Icon name="chat" /> Chat
        {unreadTotal.value > 0 && <span class="badge">{unreadTotal.value}</span>}
      </button>
      <button type="button" aria-current={shown === "people"} onClick={() => showTab("people")} data-testid="phone-people">
        <Icon name="people" /> People
      </button>
      <button type="button" aria-current={shown === "wire"} onClick={() => showPanel("wire")} data-testid="phone-wire">
        <Icon name="wire" /> Wire
      </button>
      <button type="button" aria-current={shown === "connection"} onClick={() => showPanel("connection")}>
        <Icon name="bolt" /> Link
      </button>
      <button type="button" aria-current={shown === "server"} onClick={() => showPanel("server")}>
        <Icon name="admin" /> Admin
      </button>
    </nav>
  );
}
