import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { keyOf, limits, people, placeOf, send, typed, typingEnded } from "../chat";
import { phase } from "../connection";
import type { Picture } from "../events";
import { formatBytes } from "../format";
import { pictureUrl, readPicture } from "../picture";
import { Icon } from "./Icons";

export function Composer({ to }: { to: string }): JSX.Element {
  const [text, setText] = useState("");
  const [picture, setPicture] = useState<Picture | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  const place = placeOf(to);
  const absent = "person" in place && !people.value.has(place.person);

  const attach = async (file: File | null | undefined): Promise<void> => {
    if (!file) return;
    setProblem(null);
    try {
      setPicture(await readPicture(file, limits.value.picture));
      field.current?.focus();
    } catch (error) {
      setProblem(error instanceof Error ? error.message : "this cannot be read");
    }
  };
  const submit = (event?: Event): void => {
    event?.preventDefault();
    const trimmed = text.trim();
    if (trimmed === "" && !picture) return;
    send(to, trimmed, picture);
    setText("");
    setPicture(null);
    setProblem(null);
    field.current?.focus();
  };
  const input = (value: string): void => {
    setText(value);
    if (value === "") typingEnded(to);
    else typed(to);
  };
  const keydown = (event: KeyboardEvent): void => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  };
  const pasted = (event: ClipboardEvent): void => {
    const file = Array.from(event.clipboardData?.files ?? []).find(({ type }) => type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    void attach(file);
  };
  useGrowing(field, text);
  const dragging = useDrop((file) => void attach(file));

  return (
    <form class={`composer ${dragging ? "dragging" : ""}`} onSubmit={submit}>
      {picture && <Preview picture={picture} onRemove={() => setPicture(null)} />}
      {problem !== null && (
        <p class="problem small" role="alert">
          {problem}
        </p>
      )}
      <div class="composer-row">
        <label class="icon-button" title={`Send a picture (up to ${formatBytes(limits.value.picture)}; drop or paste works too)`}>
          <Icon name="image" title="Send a picture" />
          <input
            type="file"
            accept="image/*"
            class="visually-hidden"
            data-testid="file"
            onChange={(event) => {
              void attach(event.currentTarget.files?.[0]);
              event.currentTarget.value = "";
            }}
          />
        </label>
        <textarea
          ref={field}
          rows={1}
          value={text}
          maxLength={limits.value.text}
          placeholder={absent ? `${placeLabel(to)} is offline` : `Message ${placeLabel(to)}`}
          aria-label={`Message ${placeLabel(to)}`}
          onInput={(event) => input(event.currentTarget.value)}
          onKeyDown={keydown}
          onPaste={pasted}
          onBlur={() => typingEnded(to)}
          data-testid="composer"
        />
        <button type="submit" class="icon-button send" aria-label="Send" disabled={(text.trim() === "" && !picture) || absent}>
          <Icon name="send" />
        </button>
      </div>
      {phase.value === "reconnecting" && <p class="muted small queue-hint">What you send now goes out when the connection is back.</p>}
      {dragging && <p class="drop-hint">Drop the picture to send it to {placeLabel(keyOf(place))}</p>}
    </form>
  );
}

function placeLabel(key: string): string {
  return key.startsWith("@") ? key.slice(1) : key;
}

function Preview({ picture, onRemove }: { picture: Picture; onRemove: () => void }): JSX.Element {
  const [url, setUrl] = useState<string | null>(null);
  useEffect(() => {
    const made = pictureUrl(picture);
    setUrl(made);
    return () => {
      if (made !== null) URL.revokeObjectURL(made);
    };
  }, [picture]);
  return (
    <div class="preview">
      {url !== null && <img src={url} alt="" />}
      <span class="name">{picture.name}</span>
      <span class="muted small">{formatBytes(picture.bytes.byteLength)} binary</span>
      <button type="button" class="icon-button" aria-label="Remove the picture" onClick={onRemove}>
        <Icon name="close" />
      </button>
    </div>
  );
}

/** A text area as high as its text, up to the limit of the style sheet. */
function useGrowing(field: { current: HTMLTextAreaElement | null }, text: string): void {
  useEffect(() => {
    const area = field.current;
    if (!area) return;
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight}px`;
  }, [text]);
}

/** Files may be dropped anywhere on the page. */
function useDrop(onFile: (file: File) => void): boolean {
  const [dragging, setDragging] = useState(false);
  useEffect(() => {
    const over = (event: DragEvent): void => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      setDragging(true);
    };
    const out = (event: DragEvent): void => {
      if (event.relatedTarget === null) setDragging(false);
    };
    const drop = (event: DragEvent): void => {
      event.preventDefault();
      setDragging(false);
      const file = event.dataTransfer?.files[0];
      if (file) onFile(file);
    };
    window.addEventListener("dragover", over);
    window.addEventListener("dragleave", out);
    window.addEventListener("drop", drop);
    return () => {
      window.removeEventListener("dragover", over);
      window.removeEventListener("dragleave", out);
      window.removeEventListener("drop", drop);
    };
  }, []);
  return dragging;
}
