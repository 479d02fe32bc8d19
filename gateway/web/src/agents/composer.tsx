/** Where a message is written and sent, or the run in progress stopped. What is written survives a reload. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Agent, Run } from "@berth/shared/resources";
import { runtimes } from "../runtimes/runtimes.ts";
import { agentById, runOfAgent } from "../state/agents.ts";
import { ApiError, explain, postOnce } from "../api/api.ts";
import { activeRuns, noteRuns } from "../state/live.ts";
import { Link } from "../ui/router.tsx";
import { SendIcon } from "../ui/icons.tsx";
import { StopButton } from "./stop-button.tsx";

export function Composer({ agent, onSent }: { agent: Agent; onSent: () => void }) {
  const [text, setText] = useDraft(agent.id);
  const [isSending, setSending] = useState(false);
  const [failure, setFailure] = useState<unknown>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  const going = runOfAgent(agent.id);
  useLayoutEffect(() => fit(field.current), [text]);
  useEffect(() => {
    // On a touch screen a focus would raise the keyboard over the conversation.
    if (matchMedia("(pointer: fine)").matches) field.current?.focus({ preventScroll: true });
  }, []);

  const send = async () => {
    if (isSending || going || !text.trim()) return;
    setSending(true);
    setFailure(null);
    try {
      noteRuns([await postOnce<Run>(`/v1/agents/${agent.id}/runs`, { prompt: text })]);
      setText("");
      requestAnimationFrame(onSent);
    } catch (error) {
      setFailure(error);
    }
    setSending(false);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    void send();
  };
  return (
    <form class="composer" onSubmit={(event) => (event.preventDefault(), void send())}>
      {failure !== null && <Failure failure={failure} onClose={() => setFailure(null)} />}
      <div class="box">
        <textarea
          ref={field}
          rows={1}
          aria-label={`Message to ${agent.name}`}
          placeholder={
            going ? "It works. You can write the next message meanwhile …" : runtimes[agent.runtime].placeholder
          }
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        {going ? (
          <StopButton run={going} large />
        ) : (
          <button type="submit" class="primary send" disabled={isSending || !text.trim()}>
            <SendIcon /> {isSending ? "Sending …" : "Send"}
          </button>
        )}
      </div>
      <p class="muted hint">Enter sends, Shift+Enter starts a new line</p>
    </form>
  );
}

/** Why it was not sent, and what to do. */
function Failure({ failure, onClose }: { failure: unknown; onClose: () => void }) {
  const code = failure instanceof ApiError ? failure.code : null;
  return (
    <div class="warning bad" role="alert">
      <p>
        <strong>Not sent.</strong> {code === "run_limit" ? <RunLimit /> : explain(failure)}
        {(code === "host_unavailable" || code === "no_host") &&
          " Your message is still here: send it again in a moment."}
      </p>
      <button type="button" class="quiet" onClick={onClose}>
        Close
      </button>
    </div>
  );
}

function RunLimit() {
  return (
    <>
      As many agents as may work at the same time already do:{" "}
      {activeRuns.value.map((run) => (
        <span key={run.id} class="busy-one">
          <Link href={`/agents/${run.agentId}`}>{agentById(run.agentId)?.name ?? "an agent"}</Link>{" "}
        </span>
      ))}
      Wait until one is done, or stop one; your message is still here.
    </>
  );
}

function useDraft(agentId: string): [string, (text: string) => void] {
  const key = `berth.draft.${agentId}`;
  const [text, setText] = useState(() => sessionStorage.getItem(key) ?? "");
  const keep = (next: string) => {
    setText(next);
    try {
      if (next) sessionStorage.setItem(key, next);
      else sessionStorage.removeItem(key);
    } catch {
      // Too long to keep; it is still in the field.
    }
  };
  return [text, keep];
}

/** As tall as its text, up to a third of the window. */
function fit(field: HTMLTextAreaElement | null): void {
  if (!field) return;
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight + 2, innerHeight / 3)}px`;
}
