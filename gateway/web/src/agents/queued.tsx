/** A message that waits its turn: it can be reworded and dropped until it starts. */
import type { Run } from "@berth/shared/resources";
import { t } from "../i18n/language.ts";
import { agentById } from "../state/agents.ts";
import { call } from "../api/api.ts";
import { activeRuns, noteRuns } from "../state/live.ts";
import { useKept } from "../kept/use-kept.ts";
import { Failure } from "../ui/failure.tsx";
import { Link } from "../ui/router.tsx";
import { LongText } from "../ui/long-text.tsx";
import { useTask } from "../ui/use-task.ts";

export function QueuedPrompt({ run }: { run: Run }) {
  const [draft, setDraft, forget] = useKept(`berth.queued.${run.id}`);
  const task = useTask(async () => {
    noteRuns([await call<Run>("PATCH", `/v1/runs/${run.id}`, { prompt: draft })]);
    forget();
  });
  if (draft === null)
    return (
      <>
        <LongText text={run.prompt} />
        <button type="button" class="quiet" onClick={() => setDraft(run.prompt)}>
          {t().common.edit}
        </button>
      </>
    );
  return (
    <form onSubmit={(event) => (event.preventDefault(), void task.run())}>
      <textarea
        aria-label={t().conversation.queuedMessage}
        rows={4}
        value={draft}
        onInput={(event) => setDraft(event.currentTarget.value)}
      />
      <p class="actions">
        <button type="submit" class="primary" disabled={task.isBusy || !draft.trim()}>
          {t().common.save}
        </button>
        <button type="button" onClick={forget}>
          {t().conversation.leaveAsIs}
        </button>
      </p>
      <Failure error={task.failure} />
    </form>
  );
}

/** Who has the slots that it waits for. */
export function SlotsInUse() {
  return (
    <p class="advice">
      {t().conversation.atWork}{" "}
      {activeRuns.value.map((run) => (
        <span key={run.id} class="busy-one">
          <Link href={`/agents/${run.agentId}`}>{agentById(run.agentId)?.name ?? t().conversation.anAgent}</Link>{" "}
        </span>
      ))}
    </p>
  );
}
