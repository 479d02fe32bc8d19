/** For admins: the machines, their load as it is, and how another one joins. */
import { useEffect, useState } from "preact/hooks";
import { explain } from "../api.ts";
import type { Host } from "../contract.ts";
import { formatBytes, plural } from "../format.ts";
import { createJoinToken, drainHost, hosts, loadHosts, removeHost, resumeHost } from "../hosts.ts";
import { Ago } from "../parts/ago.tsx";
import { Badge } from "../parts/badge.tsx";
import { Confirm } from "../parts/confirm.tsx";
import { Meter } from "../parts/meter.tsx";
import { ShownOnce } from "../parts/shown-once.tsx";
import { useTask } from "../parts/use-task.ts";
import type { Told } from "../words.ts";

const refreshMs = 3000;

export function HostsPage() {
  const [failure, setFailure] = useState<string | null>(null);
  useEffect(() => {
    const load = () =>
      loadHosts().then(
        () => setFailure(null),
        (error: unknown) => setFailure(explain(error)),
      );
    void load();
    const timer = setInterval(() => document.visibilityState === "visible" && void load(), refreshMs);
    return () => clearInterval(timer);
  }, []);
  return (
    <section class="page scroller">
      <h1>Hosts</h1>
      {failure && (
        <p class="failure" role="alert">
          {failure}
        </p>
      )}
      <ul class="cards hosts">
        {hosts.value?.map((host) => (
          <HostCard key={host.id} host={host} />
        ))}
      </ul>
      {hosts.value?.length === 0 && <p class="muted">No host yet: nobody can work before one joins.</p>}
      <Join />
    </section>
  );
}

function tellHost({ status, draining }: Host): Told {
  if (status === "down")
    return {
      tone: "bad",
      short: "Down",
      advice: "It has not reported for 30 s. Its runs stay as they are until it is back; removing it gives them up.",
    };
  if (draining) return { tone: "warn", short: "Draining", advice: "It takes no new users; those it has can go on." };
  return { tone: "good", short: "Live", advice: "" };
}

function HostCard({ host }: { host: Host }) {
  const [isRemoving, setRemoving] = useState(false);
  const task = useTask(() => (host.draining ? resumeHost(host.id) : drainHost(host.id)));
  const told = tellHost(host);
  return (
    <li class="card host">
      <h2>
        {host.name} <Badge told={told} />
      </h2>
      {told.advice && <p class="muted">{told.advice}</p>}
      <HostLoad host={host} />
      <p class="meta">
        <span>{plural(host.users, "user")}</span>
        <span title={host.id}>{host.url}</span>
        {host.version && <span>version {host.version}</span>}
        {host.lastReportAt && (
          <span>
            heard <Ago time={host.lastReportAt} />
          </span>
        )}
      </p>
      {task.failure && (
        <p class="failure" role="alert">
          {task.failure}
        </p>
      )}
      <p class="actions">
        <button type="button" disabled={task.isBusy} onClick={() => void task.run()}>
          {host.draining ? "Take new users again" : "Drain"}
        </button>
        <button type="button" class="quiet" onClick={() => setRemoving(true)}>
          Remove …
        </button>
      </p>
      {isRemoving && (
        <Confirm
          title={`Remove ${host.name}?`}
          action="Remove"
          typed={host.name}
          onClose={() => setRemoving(false)}
          act={() => removeHost(host)}
        >
          <p>
            Its runs are given up as lost and its users start on another host, without the files that are on this one.
            The files stay on the machine.
          </p>
        </Confirm>
      )}
    </li>
  );
}

function HostLoad({ host: { load } }: { host: Host }) {
  if (!load) return <p class="muted">It has not reported yet.</p>;
  const usedBytes = load.memoryTotalBytes - load.memoryAvailableBytes;
  const memory = `${formatBytes(usedBytes)} of ${formatBytes(load.memoryTotalBytes)}`;
  const workspaces = `${load.workspaces} of ${load.maxWorkspaces}`;
  return (
    <dl class="load">
      <dt>Memory</dt>
      <dd>
        <Meter
          label="Memory"
          words={memory}
          used={usedBytes}
          limit={load.memoryTotalBytes}
          mark={load.memoryTotalBytes * 0.9}
        />{" "}
        {memory}
      </dd>
      <dt>Workspaces</dt>
      <dd>
        <Meter label="Workspaces" words={workspaces} used={load.workspaces} limit={load.maxWorkspaces} /> {workspaces}
      </dd>
      <dt>Runs</dt>
      <dd>
        {load.activeRuns} on {plural(load.cpus, "core")}
      </dd>
      <dt>Disk free</dt>
      <dd>{formatBytes(load.diskAvailableBytes)}</dd>
    </dl>
  );
}

function Join() {
  const [token, setToken] = useState<string | null>(null);
  const task = useTask(async () => setToken((await createJoinToken()).token));
  const command = `BERTH_GATEWAY_URL=${location.origin} BERTH_JOIN_TOKEN=${token} \\\nBERTH_HOST_LISTEN=0.0.0.0 BERTH_HOST_URL=http://NAME-OF-THE-MACHINE:8081 npm run host`;
  return (
    <section class="join">
      <h2>Add a machine</h2>
      <p class="muted">
        It needs Linux, root, and this repository. The gateway must reach it at its BERTH_HOST_URL, and it must reach
        the gateway.
      </p>
      <button type="button" onClick={() => void task.run()} disabled={task.isBusy}>
        Make a join command
      </button>
      {task.failure && (
        <p class="failure" role="alert">
          {task.failure}
        </p>
      )}
      {token && <ShownOnce text={command} what="the token in it, good for one machine within an hour," />}
    </section>
  );
}
