/** What can be done with a message that was sent: copy, link, send again as it is or changed. */
import type { Run } from "@berth/shared/resources";
import { t } from "../i18n/language.ts";
import { queueMessage } from "../state/agents.ts";
import { propose } from "../state/drafts.ts";
import { CopyButton } from "../ui/copy-button.tsx";
import { go, Link, path } from "../ui/router.tsx";
import { Failure } from "../ui/failure.tsx";
import { useOnce } from "../ui/use-task.ts";

const placeOf = (agentId: string) => `/agents/${agentId}`;

/** Puts the text into the composer of the agent, and goes to it. */
export function writeAgain(agentId: string, text: string): void {
  propose(agentId, text);
  if (path.value !== placeOf(agentId)) go(placeOf(agentId));
}

export function MessageActions({ run }: { run: Run }) {
  const words = t().conversation;
  const { agentId, prompt, attachments } = run;
  const again = useOnce(async (key) => {
    const here = path.value;
    await queueMessage(agentId, { prompt, attachments }, key);
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
