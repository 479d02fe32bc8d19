/** For admins: the machines, their load as it is, and how another one joins. */
import "../style/lists.css";
import { useEffect, useState } from "preact/hooks";
import { t } from "../i18n/language.ts";
import type { Host } from "@berth/shared/hosts";
import { formatBytes } from "../text/format.ts";
import { createJoinToken, drainHost, hosts, loadHosts, removeHost, resumeHost } from "../state/hosts.ts";
import { loadUserNames, type UserNames } from "../state/users.ts";
import { HourOfGateway, HourOfHost } from "../charts/last-hour.tsx";
import { Ago } from "../ui/ago.tsx";
import { Badge } from "../ui/badge.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { Meter } from "../ui/meter.tsx";
import { ShownOnce } from "../ui/shown-once.tsx";
import { useTask } from "../ui/use-task.ts";
import { tellAlert } from "../text/alerts.ts";
import { type StateWords, tell } from "../text/words.ts";
import { useEvery } from "../ui/use-answer.ts";
import { Failure } from "../ui/failure.tsx";

const refreshMs = 3000;

export function HostsPage() {
  const [failure, setFailure] = useState<unknown>(null);
  useEvery(refreshMs, () => loadHosts().then(() => setFailure(null), setFailure));
  const names = useNames(hosts.value?.some(({ load }) => load !== null && load.alerts.length > 0) ?? false);
  return (
    <section class="page scroller">
      <h1>{t().hosts.title}</h1>
      <Failure error={failure} />
      {hosts.value?.[0] && <HourOfGateway from={hosts.value[0].createdAt} />}
      <ul class="cards hosts">
        {hosts.value?.map((host) => (
          <HostCard key={host.id} host={host} names={names} />
        ))}
      </ul>
      {hosts.value?.length === 0 && <p class="muted">{t().hosts.none}</p>}
      <Join />
    </section>
  );
}

/** Of all users by id, once they are needed. */
function useNames(areNeeded: boolean): UserNames {
  const [names, setNames] = useState<UserNames>(new Map());
  useEffect(() => {
    // Without their name a user is still a user.
    if (areNeeded) void loadUserNames().then(setNames, () => undefined);
  }, [areNeeded]);
  return names;
}

const tones: Record<Host["status"], StateWords["tone"]> = { live: "good", draining: "warn", down: "bad" };

const tellHost = ({ status }: Host) => tell(tones[status], t().hosts.states[status]);

function HostCard({ host, names }: { host: Host; names: UserNames }) {
  const [asked, ask] = useState<"drain" | "remove" | null>(null);
  const close = () => ask(null);
  const task = useTask(() => (host.draining ? resumeHost(host.id) : drainHost(host.id)));
  const words = t().hosts;
  const told = tellHost(host);
  return (
    <li class="card host">
      <h2>
        {host.name} <Badge told={told} />
      </h2>
      {host.status !== "draining" && host.reason ? (
        <p class="muted" lang="en">
          {host.reason}
        </p>
      ) : (
        told.advice && <p class="muted">{told.advice}</p>
      )}
      <Alerts host={host} names={names} />
      <HostLoad host={host} />
      {host.load && <HourOfHost {...host} totalBytes={host.load.memoryTotalBytes} />}
      <p class="meta">
        <span>{words.users(host.users)}</span>
        {host.leaving > 0 && <span>{words.leaving(host.leaving)}</span>}
        <span title={host.id}>{host.url}</span>
        {host.version && <span>{words.version(host.version)}</span>}
        {host.lastReportAt && <span>{words.reported(<Ago time={host.lastReportAt} />)}</span>}
      </p>
      <Failure error={task.failure} />
      <p class="actions">
        <button type="button" disabled={task.isBusy} onClick={() => (host.draining ? void task.run() : ask("drain"))}>
          {host.draining ? words.resume : words.drainAsk}
        </button>
        <button type="button" class="quiet" onClick={() => ask("remove")}>
          {words.removeAsk}
        </button>
      </p>
      {asked === "drain" && (
        <Confirm title={words.drainTitle(host.name)} action={words.drain} onClose={close} act={() => task.run()}>
          <p>{words.drainWhat}</p>
        </Confirm>
      )}
      {asked === "remove" && <Removal host={host} onClose={close} />}
    </li>
  );
}

function Removal({ host, onClose }: { host: Host; onClose: () => void }) {
  const words = t().hosts;
  return (
    <Confirm
      title={words.removeTitle(host.name)}
      action={words.remove}
      typed={host.name}
      onClose={onClose}
      act={() => removeHost(host)}
    >
      <p>{words.removeLoss}</p>
    </Confirm>
  );
}

function Alerts({ host: { load }, names }: { host: Host; names: UserNames }) {
  return load?.alerts.map((alert) => (
    <p key={alert.kind + alert.userId} class="warning warn">
      {t().hosts.userAlert(names.get(alert.userId) ?? alert.userId, tellAlert(alert))} <Ago time={alert.lastAt} />
    </p>
  ));
}

function HostLoad({ host: { load } }: { host: Host }) {
  if (!load) return <p class="muted">{t().hosts.notReported}</p>;
  const usedBytes = load.memoryTotalBytes - load.memoryAvailableBytes;
  const words = t().hosts;
  const memory = t().common.of(formatBytes(usedBytes), formatBytes(load.memoryTotalBytes));
  const workspaces = t().agents.inUse(load.workspaces, load.maxWorkspaces);
  return (
    <dl class="load">
      <dt>{words.memory}</dt>
      <dd>
        <Meter
          label={words.memory}
          words={memory}
          used={usedBytes}
          limit={load.memoryTotalBytes}
          mark={load.memoryTotalBytes * 0.9}
        />{" "}
        {memory}
      </dd>
      <dt>{words.workspaces}</dt>
      <dd>
        <Meter label={words.workspaces} words={workspaces} used={load.workspaces} limit={load.maxWorkspaces} />{" "}
        {workspaces}
      </dd>
      <dt>{words.runs}</dt>
      <dd>{words.runsOn(`${load.activeRuns}`, t().agents.cores(load.cpus))}</dd>
      <dt>{words.diskFree}</dt>
      <dd>{formatBytes(load.diskAvailableBytes)}</dd>
    </dl>
  );
}

function Join() {
  const words = t().hosts;
  const [command, setCommand] = useState<string | null>(null);
  const task = useTask(async () => setCommand((await createJoinToken()).command));
  return (
    <section class="join">
      <h2>{words.addTitle}</h2>
      <p class="muted">{words.addWhat}</p>
      <button type="button" onClick={() => void task.run()} disabled={task.isBusy}>
        {words.makeCommand}
      </button>
      <Failure error={task.failure} />
      {command && /GATEWAY_URL=https?:\/\/(localhost|127\.)/.test(command) && (
        <p class="warning warn">{words.localhost}</p>
      )}
      {command?.includes("HOST_URL=https:") && <p class="muted">{words.tls}</p>}
      {command && <ShownOnce text={command} what={words.theToken} />}
    </section>
  );
}
