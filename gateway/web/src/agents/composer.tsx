/**
 * Where a message is written. While the agent works it is a word into the turn, or waits for its end: the button says which. What
 * is written survives a reload.
 */
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { uuidOf } from "@berth/shared/ids";
import type { Agent, Run } from "@berth/shared/resources";
import { AttachmentChips, mostAttachments, useAttachments } from "../files/attachments.tsx";
import { t } from "../i18n/language.ts";
import { runtimes } from "../runtimes/runtimes.ts";
import { runOfAgent } from "../state/agents.ts";
import { ApiError, explain, postOnce } from "../api/api.ts";
import { noteRuns, runsByAgent } from "../state/live.ts";
import { useHeld } from "../kept/use-kept.ts";
import { draftOf } from "../state/drafts.ts";
import { noteWord } from "../state/told-words.ts";
import { AttachIcon, SendIcon } from "../ui/icons.tsx";
import { interrupt, stopRun, StopTurnButton } from "./stop-button.tsx";

/** Two presses of Escape within this are one for the whole run. */
const twiceMs = 1500;
/** A word into a turn is no longer than this; what is waits its turn as a message. */
const mostOfWord = 32_768;

export function Composer({ agent, onSent }: { agent: Agent; onSent: () => void }) {
  const { read, change } = draftOf(agent.id);
  const { text, attachments, sentTo } = read();
  const uploads = useAttachments(agent.id, (path) => change((now) => ({ attachments: [...now.attachments, path] })));
  const going = runOfAgent(agent.id);
  const waits = (runsByAgent.value.get(agent.id) ?? []).some(({ status }) => status === "pending");
  // A word into the turn is short and has no attachments.
  const mayBeWord = attachments.length + uploads.coming.length === 0 && text.length <= mostOfWord;
  const mayRead = going?.status === "running" && runtimes[agent.runtime].reads && mayBeWord;
  const isRead = sentTo === null ? mayRead : runOfWords(sentTo) !== null;
  const { send, isSending, failure, close } = useSend(agent, going, onSent);
  const { escape, stopFailure, forgive } = useEscape(going);

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
      <NotSent failure={failure} onClose={close} />
      <NotStopped failure={stopFailure} onClose={forgive} />
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
        {isRead && sentTo === null && (
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

interface Sending {
  isSending: boolean;
  failure: unknown;
}
const atRest: Sending = { isSending: false, failure: null };

/**
 * Sends the draft: a word into the turn, or a message that waits where it must; again where it was sent first, whatever may be
 * meant by then, for only there it counts once. Who comes back meanwhile sees the same.
 */
function useSend(agent: Agent, going: Run | undefined, onSent: () => void) {
  const [{ isSending, failure }, set] = useHeld(`sending.${agent.id}`, atRest, () => false);
  const { read, noteSentTo, forget } = draftOf(agent.id);
  const send = async (isWord: boolean) => {
    const { text, key, attachments, sentTo } = read();
    if (isSending || !text.trim()) return;
    set({ isSending: true, failure: null });
    const to = sentTo ?? (isWord && going ? wordsTo(going.id) : `/v1/agents/${agent.id}/runs`);
    noteSentTo(key, to);
    const runId = runOfWords(to);
    let mayBeThere = sentTo !== null;
    const post = <T,>(body: object) => postOnce<T>(to, body, key, () => (mayBeThere = true));
    try {
      if (runId === null) noteRuns([await post<Run>({ prompt: text, attachments, ifBusy: "queue" })]);
      else {
        const said = post<{ messageId: string }>({ text }).catch(async (error: unknown) => {
          // The turn is over, and perhaps it heard: what became of the word shows below it.
          if (!mayBeThere || !isConflict(error)) throw error;
          return { messageId: await uuidOf(runId, key) };
        });
        noteWord({ runId, text, ...(await said) });
      }
      forget(key);
      set(atRest);
      requestAnimationFrame(onSent);
    } catch (error) {
      // Refused for good: whatever is right by then.
      if (isConflict(error) || !mayBeThere) noteSentTo(key, null);
      set({ isSending: false, failure: error });
    }
  };
  return { send, isSending, failure, close: () => set(atRest) };
}

const wordsTo = (runId: string) => `/v1/runs/${runId}/messages`;
const runOfWords = (path: string) => /^\/v1\/runs\/(\w+)\/messages$/.exec(path)?.[1] ?? null;

const isConflict = (error: unknown) => error instanceof ApiError && error.code === "conflict";

/**
 * Escape stops the turn and keeps the conversation; a second one ends the run with all that it started. Also with the focus in the
 * conversation, or nowhere, as after an answer; in any other field it is that field's.
 */
function useEscape(going: Run | undefined) {
  const [stopFailure, setStopFailure] = useState<unknown>(null);
  const last = useRef(-Infinity);
  const escape = (event: KeyboardEvent) => {
    if (!going) return;
    event.preventDefault();
    event.stopPropagation();
    // Held, it is one press.
    if (event.repeat) return;
    setStopFailure(null);
    const isSecond = event.timeStamp - last.current < twiceMs;
    last.current = event.timeStamp;
    (isSecond ? stopRun(going.id) : interrupt(going.id)).catch(setStopFailure);
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
  return { escape, stopFailure, forgive: () => setStopFailure(null) };
}

interface FailureProps {
  failure: unknown;
  onClose: () => void;
}

function NotStopped({ failure, onClose }: FailureProps) {
  if (failure === null) return null;
  return (
    <Warning title={t().conversation.notStopped} onClose={onClose}>
      {explain(failure)}
    </Warning>
  );
}

/** Why it was not sent, and what to do. */
function NotSent({ failure, onClose }: FailureProps) {
  if (failure === null) return null;
  const words = t().conversation;
  const code = failure instanceof ApiError ? failure.code : null;
  return (
    <Warning title={code === "offline" ? words.perhapsNotSent : words.notSent} onClose={onClose}>
      {explain(failure)} {code === "offline" && words.sendsOnce}
      {(code === "host_unavailable" || code === "no_host") && words.sendAgain}
    </Warning>
  );
}

function Warning({ title, children, onClose }: { title: string; children: ComponentChildren; onClose: () => void }) {
  return (
    <div class="warning bad" role="alert">
      <p>
        <strong>{title}</strong> {children}
      </p>
      <button type="button" class="quiet" onClick={onClose}>
        {t().common.close}
      </button>
    </div>
  );
}

/** As tall as its text, up to a third of the window. */
function fit(field: HTMLTextAreaElement | null): void {
  if (!field) return;
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight + 2, innerHeight / 3)}px`;
}
