/** For admins: the machines, their load as it is, and how another one joins. */
import { useEffect, useState } from "preact/hooks";
import { explain } from "../api/api.ts";
import type { Host } from "@berth/shared/hosts";
import { formatBytes, plural } from "../text/format.ts";
import { createJoinToken, drainHost, hosts, loadHosts, removeHost, resumeHost } from "../state/hosts.ts";
import { Ago } from "../ui/ago.tsx";
import { Badge } from "../ui/badge.tsx";
import { Confirm } from "../ui/confirm.tsx";
import { Meter } from "../ui/meter.tsx";
import { ShownOnce } from "../ui/shown-once.tsx";
import { useTask } from "../ui/use-task.ts";
import { type StateWords, tellAlert } from "../text/words.ts";
import { Failure } from "../ui/failure.tsx";

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
      <Failure words={failure} />
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

const told: Record<Host["status"], StateWords> = {
  live: { tone: "good", short: "Live", advice: "" },
  draining: { tone: "warn", short: "Draining", advice: "It takes no new users; those it has go on." },
  down: {
    tone: "bad",
    short: "Down",
    advice: "It has not reported for 30 s. Its runs stay as they are until it is back; removing it gives them up.",
  },
};

function HostCard({ host }: { host: Host }) {
  const [isRemoving, setRemoving] = useState(false);
  const [isDraining, setDraining] = useState(false);
  const task = useTask(() => (host.draining ? resumeHost(host.id) : drainHost(host.id)));
  const { advice } = told[host.status];
  return (
    <li class="card host">
      <h2>
        {host.name} <Badge told={told[host.status]} />
      </h2>
      {(host.reason || advice) && <p class="muted">{host.reason || advice}</p>}
      <Alerts host={host} />
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
      <Failure words={task.failure} />
      <p class="actions">
        <button
          type="button"
          disabled={task.isBusy}
          onClick={() => (host.draining ? void task.run() : setDraining(true))}
        >
          {host.draining ? "Take new users again" : "Drain …"}
        </button>
        <button type="button" class="quiet" onClick={() => setRemoving(true)}>
          Remove …
        </button>
      </p>
      {isDraining && (
        <Confirm title={`Drain ${host.name}?`} action="Drain" onClose={() => setDraining(false)} act={() => task.run()}>
          <p>It takes no new users; those it has go on there. Without another host new users cannot work.</p>
        </Confirm>
      )}
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

function Alerts({ host: { load } }: { host: Host }) {
  return load?.alerts.map((alert) => (
    <p key={alert.kind + alert.userId} class="warning warn">
      User {alert.userId}: {tellAlert(alert)} <Ago time={alert.lastAt} />
    </p>
  ));
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
  const [command, setCommand] = useState<string | null>(null);
  const task = useTask(async () => setCommand((await createJoinToken()).command));
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
      <Failure words={task.failure} />
      {command?.includes("//localhost") && (
        <p class="warning warn">
          Another machine cannot reach this Berth at localhost: set BERTH_PUBLIC_URL to an address that it can reach,
          start Berth again, and make the command anew.
        </p>
      )}
      {command && <ShownOnce text={command} what="the token in it, good for one machine within an hour," />}
    </section>
  );
}
