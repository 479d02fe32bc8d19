/** One run by its address: the same view as in the conversation. */
import type { Run } from "@berth/shared/resources";
import { t } from "../i18n/language.ts";
import { agentById } from "../state/agents.ts";
import { ApiError, explain, get } from "../api/api.ts";
import { noteRuns, runs } from "../state/live.ts";
import { runtimes } from "../runtimes/runtimes.ts";
import { RunSection } from "../agents/run-section.tsx";
import { StopButton } from "../agents/stop-button.tsx";
import { Link } from "../ui/router.tsx";
import { useAnswer } from "../ui/use-answer.ts";
import { NotFoundPage } from "./not-found.tsx";

export function RunPage({ id }: { id: string }) {
  const { failure } = useAnswer(() => get<Run>(`/v1/runs/${id}`).then((run) => noteRuns([run])));
  const run = runs.value.get(id);
  if (!run && failure instanceof ApiError && failure.code === "not_found") return <NotFoundPage />;
  if (!run)
    return (
      <p class="page muted" role="status">
        {failure ? explain(failure) : t().common.loading}
      </p>
    );
  const words = t().conversation;
  const agent = agentById(run.agentId);
  return (
    <section class="page scroller">
      <div class="page-head">
        <h1>{words.runOf(agent ? <Link href={`/agents/${agent.id}`}>{agent.name}</Link> : words.deletedAgent)}</h1>
        {run.endedAt === null && run.status !== "pending" && <StopButton run={run} />}
        <a href={`/v1/runs/${run.id}/events`} target="_blank" rel="noopener">
          {words.rawEvents}
        </a>
      </div>
      {runtimes[agent?.runtime ?? "claude"].hasModel && <p class="muted">{words.rawEventsCost}</p>}
      <div class="thread">
        <RunSection run={run} />
      </div>
    </section>
  );
}
