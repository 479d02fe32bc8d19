/**
 * Where a message is written. While the agent works it is a word into the turn, or waits for its end: the button says which. What
 * is written survives a reload.
 */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Agent, Run } from "@berth/shared/resources";
import { AttachmentChips, mostAttachments, useAttachments } from "../files/attachments.tsx";
import { t } from "../i18n/language.ts";
import { runtimes } from "../runtimes/runtimes.ts";
import { runOfAgent } from "../state/agents.ts";
import { ApiError, explain, postOnce } from "../api/api.ts";
import { noteRuns, runsByAgent } from "../state/live.ts";
import { keptText } from "../kept/use-kept.ts";
import { noteWord } from "../state/told-words.ts";
import { AttachIcon, SendIcon } from "../ui/icons.tsx";
import { proposed } from "./message-actions.tsx";
import { interrupt, stopRun, StopTurnButton } from "./stop-button.tsx";

/** Two presses of Escape within this are one for the whole run. */
const twiceMs = 1500;
/** A word into a turn is no longer than this; what is waits its turn as a message. */
const mostOfWord = 32_768;

export function Composer({ agent, onSent }: { agent: Agent; onSent: () => void }) {
  const { draft, change } = useDraft(agent.id);
  const { text, key, attachments } = draft;
  const uploads = useAttachments(agent.id, (path) => change((now) => ({ attachments: [...now.attachments, path] })));
  const going = runOfAgent(agent.id);
  const waits = (runsByAgent.value.get(agent.id) ?? []).some(({ status }) => status === "pending");
  // A word into the turn is short and has no attachments.
  const mayBeWord = attachments.length + uploads.coming.length === 0 && text.length <= mostOfWord;
  const isRead = going?.status === "running" && runtimes[agent.runtime].reads && mayBeWord;
  const current = useRef(key);
  current.current = key;
  const { send, isSending, failure, setFailure } = useSend(agent, going, draft, () => {
    // What was written meanwhile is the next message.
    if (current.current === key) change(() => ({ text: "", attachments: [] }));
    requestAnimationFrame(onSent);
  });
  const escape = useEscape(going, setFailure);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape" && !event.isComposing) return escape(event);
    if (!isEnter(event)) return;
    event.preventDefault();
    void send(isRead && !event.altKey);
  };
  const isEmpty = isSending || !text.trim() || uploads.coming.length > 0 || attachments.length > mostAttachments;
  const words = t().conversation;
  const action = isRead ? "sendNow" : going || waits ? "queue" : "send";
  return (
    <form class="composer" onSubmit={(event) => (event.preventDefault(), void send(isRead))}>
      {failure !== null && <Failure failure={failure} onClose={() => setFailure(null)} />}
      <AttachmentChips
        paths={attachments}
        onRemove={(gone) => change((now) => ({ attachments: now.attachments.filter((path) => path !== gone) }))}
        uploads={uploads}
      />
      <div
        class="box"
        onDragOver={(event) => event.preventDefault()}
        onDrop={(event) => uploads.bring(event, event.dataTransfer)}
      >
        <AttachButton onFiles={uploads.attach} />
        <Field
          agent={agent}
          placeholder={going ? words.placeholderBusy : runtimes[agent.runtime].words().placeholder}
          text={text}
          onText={(written) => change(() => ({ text: written }))}
          onKeyDown={onKeyDown}
          onPaste={(event) => uploads.bring(event, event.clipboardData)}
        />
        {isRead && (
          <button type="button" disabled={isEmpty} onClick={() => void send(false)}>
            {words.queue}
          </button>
        )}
        <button type="submit" class="primary send" disabled={isEmpty}>
          <SendIcon /> {isSending ? words.sending : words[action]}
        </button>
        {going && <StopTurnButton run={going} />}
      </div>
      <p class="muted hint">{words.hints[action]}</p>
    </form>
  );
}

function isEnter(event: KeyboardEvent): boolean {
  // In Safari the Enter that ends a composition is told after it, by this code alone. On a touch screen there is no Shift.
  const isComposing = event.isComposing || event.keyCode === 229;
  return event.key === "Enter" && !event.shiftKey && !isComposing && !matchMedia("(pointer: coarse)").matches;
}

interface FieldProps {
  agent: Agent;
  placeholder: string;
  text: string;
  onText: (text: string) => void;
  onKeyDown: (event: KeyboardEvent) => void;
  onPaste: (event: ClipboardEvent) => void;
}

function Field({ agent, text, onText, onKeyDown, ...rest }: FieldProps) {
  const field = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => fit(field.current), [text]);
  useEffect(() => {
    // On a touch screen a focus would raise the keyboard over the conversation.
    if (matchMedia("(pointer: fine)").matches) field.current?.focus({ preventScroll: true });
  }, []);
  const onInput = (event: { currentTarget: HTMLTextAreaElement }) => onText(event.currentTarget.value);
  const onKey = (event: KeyboardEvent) => {
    const last = event.key === "ArrowUp" && !text && lastOf(agent.id);
    if (!last) return onKeyDown(event);
    event.preventDefault();
    onText(last);
  };
  const label = t().conversation.messageTo(agent.name);
  return (
    <textarea ref={field} rows={1} aria-label={label} value={text} onInput={onInput} onKeyDown={onKey} {...rest} />
  );
}

/** The last message that a person wrote to the agent. */
const lastOf = (agentId: string) =>
  runsByAgent.value.get(agentId)?.find(({ trigger }) => trigger.kind === "api")?.prompt;

function AttachButton({ onFiles }: { onFiles: (files: File[]) => void }) {
  const picker = useRef<HTMLInputElement>(null);
  const take = () => {
    onFiles([...(picker.current!.files ?? [])]);
    picker.current!.value = "";
  };
  return (
    <>
      <button
        type="button"
        class="quiet attach"
        aria-label={t().conversation.files.attach}
        onClick={() => picker.current?.click()}
      >
        <AttachIcon />
      </button>
      <input ref={picker} type="file" multiple hidden onChange={take} />
    </>
  );
}

/** Sends the text: a word into the turn, or a message that waits where it must. */
function useSend(agent: Agent, going: Run | undefined, { text, key, attachments }: Draft, onSent: () => void) {
  const [isSending, setSending] = useState(false);
  const [failure, setFailure] = useState<unknown>(null);
  const send = async (isWord: boolean) => {
    if (isSending || !text.trim()) return;
    setSending(true);
    setFailure(null);
    try {
      if (isWord && going) {
        const { messageId } = await postOnce<{ messageId: string }>(`/v1/runs/${going.id}/messages`, { text }, key);
        noteWord({ runId: going.id, messageId, text });
      } else {
        const message = { prompt: text, attachments, ifBusy: "queue" };
        noteRuns([await postOnce<Run>(`/v1/agents/${agent.id}/runs`, message, key)]);
      }
      onSent();
    } catch (error) {
      setFailure(error);
    }
    setSending(false);
  };
  return { send, isSending, failure, setFailure };
}

/** Takes a message that is to be sent again. */
function useProposed(agentId: string, take: (text: string) => void) {
  const text = proposed.value?.agentId === agentId ? proposed.value.text : null;
  useEffect(() => {
    if (text === null) return;
    proposed.value = null;
    take(text);
  }, [text]);
}

/**
 * Escape stops the turn and keeps the conversation; a second one ends the run with all that it started. Also with the focus in the
 * conversation, or nowhere, as after an answer; in any other field it is that field's.
 */
function useEscape(going: Run | undefined, tell: (failure: unknown) => void) {
  const last = useRef(-Infinity);
  const escape = (event: KeyboardEvent) => {
    if (!going) return;
    event.preventDefault();
    event.stopPropagation();
    const isSecond = event.timeStamp - last.current < twiceMs;
    last.current = event.timeStamp;
    (isSecond ? stopRun(going.id) : interrupt(going.id)).catch(tell);
  };
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const { target } = event;
      if (event.key !== "Escape" || !(target instanceof Element) || target.closest("input,textarea,select")) return;
      if (target === document.body || target.closest(".conversation")) escape(event);
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  });
  return escape;
}

/** Why it was not sent, and what to do. */
function Failure({ failure, onClose }: { failure: unknown; onClose: () => void }) {
  const words = t().conversation;
  const code = failure instanceof ApiError ? failure.code : null;
  return (
    <div class="warning bad" role="alert">
      <p>
        <strong>{code === "offline" ? words.perhapsNotSent : words.notSent}</strong> {explain(failure)}{" "}
        {code === "offline" && words.sendsOnce}
        {(code === "host_unavailable" || code === "no_host") && words.sendAgain}
      </p>
      <button type="button" class="quiet" onClick={onClose}>
        {t().common.close}
      </button>
    </div>
  );
}

interface Draft {
  text: string;
  /** Paths of files that are there. */
  attachments: string[];
  /** Names this message: the same until it is changed. */
  key: string;
}

function useDraft(agentId: string) {
  const { text, write } = keptText(`berth.draft.${agentId}`);
  const first = useRef(crypto.randomUUID());
  const read = () => readDraft(text.value) ?? { key: first.current, text: "", attachments: [] };
  // Also for uploads, which end long after they were drawn, perhaps with another composer in view.
  const change = (how: (now: Draft) => Partial<Draft>) => {
    const now = read();
    const next = { ...now, ...how(now), key: crypto.randomUUID() };
    write(next.text || next.attachments.length > 0 ? JSON.stringify(next) : null);
  };
  useProposed(agentId, (more) => change((now) => ({ text: now.text ? `${now.text}\n${more}` : more })));
  return { draft: read(), change };
}

function readDraft(kept: string | null): Draft | null {
  if (kept === null) return null;
  try {
    return { attachments: [], ...(JSON.parse(kept) as Omit<Draft, "attachments">) };
  } catch {
    return null;
  }
}

/** As tall as its text, up to a third of the window. */
function fit(field: HTMLTextAreaElement | null): void {
  if (!field) return;
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight + 2, innerHeight / 3)}px`;
}
