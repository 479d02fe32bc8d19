/** What can be done with a message that was sent: copy, link, send again as it is or changed. */
import { useRef } from "preact/hooks";
import type { Run } from "@berth/shared/resources";
import { t } from "../i18n/language.ts";
import { postOnce } from "../api/api.ts";
import { propose } from "../state/drafts.ts";
import { noteRuns } from "../state/live.ts";
import { CopyButton } from "../ui/copy-button.tsx";
import { go, Link, path } from "../ui/router.tsx";
import { Failure } from "../ui/failure.tsx";
import { useTask } from "../ui/use-task.ts";

const placeOf = (agentId: string) => `/agents/${agentId}`;

/** Puts the text into the composer of the agent, and goes to it. */
export function writeAgain(agentId: string, text: string): void {
  propose(agentId, text);
  if (path.value !== placeOf(agentId)) go(placeOf(agentId));
}

export function MessageActions({ run }: { run: Run }) {
  const words = t().conversation;
  const { agentId, prompt, attachments } = run;
  // The same until it is known to have arrived: a second press sends nothing twice.
  const key = useRef(crypto.randomUUID());
  const again = useTask(async () => {
    const here = path.value;
    const body = { prompt, attachments, ifBusy: "queue" };
    noteRuns([await postOnce<Run>(`/v1/agents/${agentId}/runs`, body, key.current)]);
    key.current = crypto.randomUUID();
    // Where it is not seen to arrive.
    if (here !== placeOf(agentId) && path.value === here) go(placeOf(agentId));
  });
  return (
    <span class="message-actions">
      <CopyButton text={prompt} label={words.copyMessage} />
      <Link href={`/agents/${agentId}?run=${run.id}`}>{words.linkToMessage}</Link>
      <Link href={`/runs/${run.id}`}>{words.details}</Link>
      <button type="button" class="quiet" onClick={() => writeAgain(agentId, prompt)}>
        {words.editAgain}
      </button>
      {run.endedAt !== null && (
        <button type="button" class="quiet" disabled={again.isBusy} onClick={() => void again.run()}>
          {words.sendSame}
        </button>
      )}
      <Failure error={again.failure} />
    </span>
  );
}
