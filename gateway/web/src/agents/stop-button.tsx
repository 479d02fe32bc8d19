/** Stops a run: every process of it, wherever it forked; or its turn alone. */
import type { Run } from "@berth/shared/resources";
import { t } from "../i18n/language.ts";
import { ApiError, post } from "../api/api.ts";
import { noteRuns } from "../state/live.ts";
import { StopIcon } from "../ui/icons.tsx";
import { useTask } from "../ui/use-task.ts";
import { Failure } from "../ui/failure.tsx";

export function StopButton({ run }: { run: Run }) {
  const task = useTask(() => stopRun(run.id));
  return (
    <>
      <button type="button" class="stop" onClick={() => void task.run()} disabled={task.isBusy}>
        <StopIcon /> {task.isBusy ? t().common.stopping : t().common.stop}
      </button>
      <Failure error={task.failure} isInline />
    </>
  );
}

/** What Escape does, for who has no such key: a press stops the turn, another one meanwhile ends the run. */
export function StopTurnButton({ run }: { run: Run }) {
  const turn = useTask(() => interrupt(run.id));
  const whole = useTask(() => stopRun(run.id));
  const words = t().common;
  const label = whole.isBusy ? words.stopping : turn.isBusy ? words.stopAtOnce : words.stop;
  return (
    <>
      <button
        type="button"
        class="stop large"
        onClick={() => void (turn.isBusy ? whole : turn).run()}
        disabled={whole.isBusy}
      >
        <StopIcon /> {label}
      </button>
      <Failure error={turn.failure ?? whole.failure} isInline />
    </>
  );
}

export const stopRun = (id: string) => end(id, "cancel");
/** Stops the turn and keeps its conversation. */
export const interrupt = (id: string) => end(id, "interrupt");

async function end(id: string, how: "cancel" | "interrupt"): Promise<void> {
  try {
    noteRuns([await post<Run>(`/v1/runs/${id}/${how}`)]);
  } catch (error) {
    // It ended by itself in the meantime, and its end is told by the socket.
    if (!(error instanceof ApiError) || error.code !== "conflict") throw error;
  }
}
