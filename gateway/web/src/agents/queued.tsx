/** What was written and not read yet: a message that waits its turn, to reword and drop until it starts; words into a turn. */
import type { Run } from "@berth/shared/resources";
import { t } from "../i18n/language.ts";
import { agentById } from "../state/agents.ts";
import { call } from "../api/api.ts";
import { activeRuns, continued, logs, noteRuns, runs } from "../state/live.ts";
import type { RunLog } from "../state/run-logs.ts";
import { forgetWords, toldWords } from "../state/told-words.ts";
import { useKept } from "../kept/use-kept.ts";
import { Failure } from "../ui/failure.tsx";
import { Link } from "../ui/router.tsx";
import { LongText } from "../ui/long-text.tsx";
import { useTask } from "../ui/use-task.ts";
import { writeAgain } from "./message-actions.tsx";

const useChange = (run: Run) => useKept(`berth.queued.${run.id}`);

export function QueuedPrompt({ run }: { run: Run }) {
  const [draft, setDraft, forget] = useChange(run);
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
          {t().common.leaveAsIs}
        </button>
      </p>
      <Failure error={task.failure} />
    </form>
  );
}

/** What a message was to be changed to when it began, or was dropped: to send as another. */
export function LateChange({ run }: { run: Run }) {
  const [draft, , forget] = useChange(run);
  if (run.status === "pending" || draft === null || draft === run.prompt) return null;
  const words = t().conversation;
  const edit = () => {
    forget();
    writeAgain(run.agentId, draft);
  };
  return (
    <div class="unread">
      <LongText text={draft} />
      <p class="muted">
        {words.changedTooLate}{" "}
        <button type="button" class="quiet" onClick={edit}>
          {words.editAgain}
        </button>{" "}
        <button type="button" class="quiet" onClick={forget}>
          {t().common.leaveAsIs}
        </button>
      </p>
    </div>
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

/** The run, and those that it goes on with. */
function turnOf(runId: string): string[] {
  const before = runs.value.get(runId)?.continues ?? null;
  return before === null ? [runId] : [runId, ...turnOf(before)];
}

/** Words into the turn that its output does not show: on their way while it goes on, and lost once it has ended without them. */
export function UnreadWords({ run, log }: { run: Run; log: RunLog | null }) {
  void log?.version.value;
  const isLive = run.endedAt === null;
  // The run that goes on with a turn hears what that was told.
  const turn = turnOf(run.id);
  const said = toldWords().filter(({ runId }) => turn.includes(runId));
  if (said.length === 0 || !log || continued.value.has(run.id)) return null;
  const all = turn.map((id) => (id === run.id ? log : logs.get(id)));
  if (!all.every((one) => (one === log && isLive) || one?.state.value === "complete" || one?.state.value === "gone"))
    return null;
  const items = all.flatMap((one) => one?.fold.items ?? []);
  const read = new Set(items.flatMap((item) => (item.kind === "said" ? item.id : [])));
  const unread = said.filter(({ messageId }) => !read.has(messageId));
  if (unread.length === 0) return null;
  const words = t().conversation;
  const edit = () => {
    turn.forEach(forgetWords);
    writeAgain(run.agentId, unread.map(({ text }) => text).join("\n"));
  };
  return (
    <div class="unread">
      {unread.map(({ messageId, text }) => (
        <LongText key={messageId} text={text} />
      ))}
      <p class="muted">
        {isLive ? words.readsNext : words.notRead}{" "}
        {!isLive && (
          <button type="button" class="quiet" onClick={edit}>
            {words.editAgain}
          </button>
        )}
      </p>
    </div>
  );
}
