/** The first page: all agents as cards, and the workspace that they share. */
import { useEffect, useState } from "preact/hooks";
import type { Agent } from "@berth/shared/resources";
import { runtimes } from "../runtimes/runtimes.ts";
import { t } from "../i18n/language.ts";
import { agents, runOfAgent } from "../state/agents.ts";
import { get, post } from "../api/api.ts";
import { formatCost } from "../text/format.ts";
import { activeRuns, noteWorkspace, runsByAgent, workspace } from "../state/live.ts";
import { AgentLine, tellAgent } from "../agents/agent-line.tsx";
import { Ago } from "../ui/ago.tsx";
import { Badge } from "../ui/badge.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { NewAgent } from "../agents/new-agent.tsx";
import { StopButton } from "../agents/stop-button.tsx";
import { useTask } from "../ui/use-task.ts";
import { Link } from "../ui/router.tsx";
import type { Me, Use } from "@berth/shared/users";
import { tellWorkspace } from "../text/words.ts";
import { Failure } from "../ui/failure.tsx";
import { later } from "./later.tsx";

const FirstAgent = later(() => import("./first-agent.tsx").then((it) => it.FirstAgent));

export function OverviewPage({ me }: { me: Me }) {
  const use = useUse();
  if (agents.value?.length === 0) return <FirstAgent me={me} />;
  return (
    <section class="page scroller">
      <div class="page-head">
        <h1>{t().agents.title}</h1>
        <WorkspaceSwitch me={me} />
      </div>
      <ul class="cards">
        {agents.value?.map((agent) => (
          <AgentCard key={agent.id} agent={agent} use={use && (use.get(agent.id) ?? null)} />
        ))}
        {agents.value && (
          <li class="card add">
            <NewAgent me={me} />
          </li>
        )}
      </ul>
      {!agents.value && (
        <p role="status" class="muted">
          {t().agents.loading}
        </p>
      )}
    </section>
  );
}

type UseOfAgent = Use["agents"][number];
/** What each agent has cost in the last 30 days, anew whenever a run begins or ends; undefined until it is known. */
function useUse(): Map<string, UseOfAgent> | undefined {
  const [use, setUse] = useState<Map<string, UseOfAgent>>();
  useEffect(() => {
    const note = ({ agents: ofAgents }: Use) => setUse(new Map(ofAgents.map((one) => [one.agentId, one])));
    void get<Use>("/v1/use").then(note, () => undefined);
  }, [activeRuns.value.length]);
  return use;
}

function AgentCard({ agent, use }: { agent: Agent; use: UseOfAgent | null | undefined }) {
  const last = runsByAgent.value.get(agent.id)?.[0];
  const going = runOfAgent(agent.id);
  const words = t().agents;
  const runtime = runtimes[agent.runtime];
  return (
    <li class="card">
      <h2>
        <Link href={`/agents/${agent.id}`}>{agent.name}</Link>
        <Badge told={tellAgent(agent)} />
      </h2>
      <p class="last">
        <AgentLine agent={agent} />
      </p>
      <p class="meta">
        <span>{(runtime.hasModel && agent.model) || runtime.words().name}</span>
        {use && <span>{words.costIn(formatCost(use.costUsd), words.runs(use.runs))}</span>}
        {use === null && <span>{words.noRuns}</span>}
        {last && <Ago time={last.endedAt ?? last.createdAt} />}
        {going && <StopButton run={going} />}
      </p>
    </li>
  );
}

function WorkspaceSwitch({ me }: { me: Me }) {
  const words = t().agents;
  const space = workspace.value ?? me.workspace;
  const task = useTask(async (action: "start" | "stop") => {
    noteWorkspace(await post(`/v1/workspace/${action}`));
  });
  const [isAsking, setAsking] = useState(false);
  const isUp = space.status === "running" || space.status === "starting";
  return (
    <div class="switch">
      <span class="muted">{tellWorkspace(space).advice}</span>
      {isUp ? (
        <button type="button" disabled={task.isBusy} onClick={() => setAsking(true)} title={words.stopWorkspaceTitle}>
          {task.isBusy ? t().common.stopping : words.stopWorkspace}
        </button>
      ) : (
        <button type="button" disabled={task.isBusy} onClick={() => void task.run("start")}>
          {task.isBusy ? t().common.starting : words.startWorkspace}
        </button>
      )}
      <Failure error={task.failure} />
      {isAsking && (
        <Confirm
          title={words.stopAsk}
          action={words.stopIt}
          onClose={() => setAsking(false)}
          act={() => task.run("stop")}
        >
          <p>{words.stopWhat(activeRuns.value.length)}</p>
        </Confirm>
      )}
    </div>
  );
}
