/** The bar above every page: how the workspace is, live. */
import { connection, refusal, workspace } from "../state/live.ts";
import { formatBytes, plural } from "../text/format.ts";
import type { Me } from "@berth/shared/users";
import { hostName } from "../state/hosts.ts";
import { tellWorkspace } from "../text/words.ts";
import { Badge } from "../ui/badge.tsx";
import { Meter } from "../ui/meter.tsx";
import { Notice } from "./notice.tsx";
import { Link } from "../ui/router.tsx";

export function WorkspaceBar({ me }: { me: Me }) {
  const space = workspace.value ?? me.workspace;
  const { memory, cpu, disk, connections, activeRuns, hostId } = space;
  // Before the first sample nobody knows.
  const isKnown = space.sampledAt !== null;
  const memoryWords = `${formatBytes(memory.usedBytes)} of ${formatBytes(memory.limitBytes)}`;
  const diskWords = `${formatBytes(disk.usedBytes)} of ${formatBytes(disk.limitBytes)}`;
  const cpuOfAll = cpu.percent / Math.max(cpu.cores, 0.01);
  const isLost = connection.value.kind !== "open";
  return (
    <section class={`bar ${isLost ? "stale" : ""}`} aria-label="Workspace">
      <Badge told={tellWorkspace(space)} />
      <span class="fact host" title="The machine on which your workspace runs">
        <span class="label">Host</span> {hostId ? hostName(hostId) : "none yet"}
      </span>
      <span class="fact memory" title={`Memory: ${memoryWords}. The mark is at ${formatBytes(memory.warnBytes)}.`}>
        <span class="label">Memory</span>
        <Meter
          label="Memory"
          words={memoryWords}
          used={memory.usedBytes}
          limit={memory.limitBytes}
          mark={memory.warnBytes}
        />
        <span class="value">
          {isKnown ? formatBytes(memory.usedBytes) : "–"} <span class="of">of {formatBytes(memory.limitBytes)}</span>
        </span>
      </span>
      <span
        class="fact cpu"
        title={`CPU: ${Math.round(cpu.percent)} % of one core; ${plural(cpu.cores, "core")} at most`}
      >
        <span class="label">CPU</span>
        <Meter label="CPU" words={`${Math.round(cpuOfAll)} percent`} used={cpuOfAll} limit={100} />
        <span class="value">{Math.round(cpuOfAll)} %</span>
      </span>
      <span class="fact disk" title={`Disk: ${diskWords}`}>
        <span class="label">Disk</span>
        <Meter
          label="Disk"
          words={diskWords}
          used={disk.usedBytes}
          limit={disk.limitBytes}
          mark={disk.limitBytes * 0.9}
        />
        <span class="value">{isKnown || disk.usedBytes > 0 ? formatBytes(disk.usedBytes) : "–"}</span>
      </span>
      <span class="fact" title="Runs in progress">
        <span class="label">Runs</span> {activeRuns} of {me.limits.concurrentRuns}
      </span>
      <span class="fact connections" title="Open connections to your workspace: tabs, terminals, API clients">
        <span class="label">Connections</span> {connections}
      </span>
    </section>
  );
}

/** What a person should know now, and what to do about it. Nothing while all is well. */
export function Warnings({ me }: { me: Me }) {
  const space = workspace.value ?? me.workspace;
  const lost = connection.value.kind === "lost" ? connection.value : null;
  const told = tellWorkspace(space);
  return (
    <div class="warnings">
      {me.demoModel && (
        <p class="warning quiet">
          <strong>Demo model.</strong> Answers are canned; set <code>ANTHROPIC_API_KEY</code> or{" "}
          <code>BERTH_MODEL_URL</code> for real ones.
        </p>
      )}
      <div role="status">
        {me.notice && <Notice text={me.notice} />}
        {lost && (
          <p class="warning warn">
            <strong>Not connected.</strong> {lost.why} Trying again by itself; runs go on meanwhile and nothing is lost.
          </p>
        )}
        {refusal.value && (
          <p class="warning bad">
            <strong>The workspace cannot start.</strong> {refusal.value.detail}
          </p>
        )}
        {space.status === "failed" && !refusal.value && (
          <p class="warning bad">
            <strong>The workspace failed.</strong> {told.advice}
          </p>
        )}
        {space.memory.warning && (
          <p class="warning warn">
            <strong>Memory is nearly full:</strong> {formatBytes(space.memory.usedBytes)} of{" "}
            {formatBytes(space.memory.limitBytes)}. At the limit the biggest process is ended.{" "}
            <Link href="/">Stop a run</Link>, or ask agents for smaller steps.
          </p>
        )}
        {space.disk.limitBytes > 0 && space.disk.usedBytes > space.disk.limitBytes * 0.9 && (
          <p class="warning warn">
            <strong>The disk is nearly full:</strong> {formatBytes(space.disk.usedBytes)} of{" "}
            {formatBytes(space.disk.limitBytes)}. Delete files or agents that you no longer need; when it is full, runs
            fail.
          </p>
        )}
      </div>
    </div>
  );
}
