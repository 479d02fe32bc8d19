/** The first page: all agents as cards, and the workspace that they share. */
import { useState } from "preact/hooks";
import type { Agent } from "@berth/shared/resources";
import { runtimes } from "../runtimes/runtimes.ts";
import { agents, runOfAgent } from "../state/agents.ts";
import { post } from "../api/api.ts";
import { formatCost, plural } from "../text/format.ts";
import { activeRuns, runsByAgent, workspace } from "../state/live.ts";
import { AgentLine, tellAgent } from "../agents/agent-line.tsx";
import { Ago } from "../ui/ago.tsx";
import { Badge } from "../ui/badge.tsx";
import { Confirm } from "../ui/confirm.tsx";
import { NewAgent } from "../agents/new-agent.tsx";
import { StopButton } from "../agents/stop-button.tsx";
import { useTask } from "../ui/use-task.ts";
import { Link } from "../ui/router.tsx";
import type { Me } from "@berth/shared/users";
import { tellWorkspace } from "../text/words.ts";
import { Failure } from "../ui/failure.tsx";

export function OverviewPage({ me }: { me: Me }) {
  if (agents.value?.length === 0) return <FirstAgent me={me} />;
  return (
    <section class="page scroller">
      <div class="page-head">
        <h1>Agents</h1>
        <WorkspaceSwitch me={me} />
      </div>
      <ul class="cards">
        {agents.value?.map((agent) => (
          <AgentCard key={agent.id} agent={agent} />
        ))}
        {agents.value && (
          <li class="card add">
            <NewAgent me={me} />
          </li>
        )}
      </ul>
      {!agents.value && (
        <p role="status" class="muted">
          Loading the agents …
        </p>
      )}
    </section>
  );
}

function AgentCard({ agent }: { agent: Agent }) {
  const runs = runsByAgent.value.get(agent.id) ?? [];
  const cost = runs.reduce((sum, run) => sum + run.usage.costUsd, 0);
  const going = runOfAgent(agent.id);
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
        <span>{(runtime.hasModel && agent.model) || runtime.name}</span>
        <span title="What its latest runs cost">
          {runs.length > 0 ? `${formatCost(cost)} in ${plural(runs.length, "run")}` : "No runs yet"}
        </span>
        {runs[0] && <Ago time={runs[0].endedAt ?? runs[0].createdAt} />}
        {going && <StopButton run={going} />}
      </p>
    </li>
  );
}

function WorkspaceSwitch({ me }: { me: Me }) {
  const space = workspace.value ?? me.workspace;
  const task = useTask(async (action: "start" | "stop") => {
    workspace.value = await post(`/v1/workspace/${action}`);
  });
  const [isAsking, setAsking] = useState(false);
  const isUp = space.status === "running" || space.status === "starting";
  return (
    <div class="switch">
      <span class="muted">{tellWorkspace(space).advice}</span>
      {isUp ? (
        <button
          type="button"
          disabled={task.isBusy}
          onClick={() => (activeRuns.value.length > 0 ? setAsking(true) : void task.run("stop"))}
          title="Ends the container and its runs; files stay"
        >
          {task.isBusy ? "Stopping …" : "Stop the workspace"}
        </button>
      ) : (
        <button type="button" disabled={task.isBusy} onClick={() => void task.run("start")}>
          {task.isBusy ? "Starting …" : "Start the workspace"}
        </button>
      )}
      <Failure words={task.failure} />
      {isAsking && (
        <Confirm
          title="Stop the workspace?"
          action="Stop it"
          onClose={() => setAsking(false)}
          act={() => task.run("stop")}
        >
          <p>
            {plural(activeRuns.value.length, "run")} in progress will be stopped with it, and every terminal. Files
            stay.
          </p>
        </Confirm>
      )}
    </div>
  );
}

function FirstAgent({ me }: { me: Me }) {
  return (
    <section class="page narrow first">
      <h1>Make your first agent</h1>
      <p>
        An agent is a conversation with a directory of its own. You write to it, it works in your container, and you see
        what it does while it does it. Close the page whenever you like: a run goes on and is here when you come back.
      </p>
      <NewAgent me={me} isFirst />
      <ul class="hints muted">
        <li>
          Up to {me.limits.agents} agents share one container; {me.limits.concurrentRuns} can work at the same time.
        </li>
        <li>
          One agent a task or a repository works well: they cannot read each other's files, but for{" "}
          <code>/workspace/shared</code>.
        </li>
        <li>
          Programs do the same with the API: make a <Link href="/tokens">token</Link> and read <a href="/docs">how</a>.
        </li>
      </ul>
    </section>
  );
}
