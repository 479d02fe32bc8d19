/** The bar above every page: how the workspace is, live. */
import { connection, refusal, workspace } from "../state/live.ts";
import { explain } from "../api/api.ts";
import type { Wrap } from "../i18n/grammar.ts";
import { t } from "../i18n/language.ts";
import { formatBytes, formatPart } from "../text/format.ts";
import type { Workspace } from "@berth/shared/resources";
import type { Me } from "@berth/shared/users";
import { useKept } from "../kept/use-kept.ts";
import { hostName } from "../state/hosts.ts";
import { tellWorkspace } from "../text/words.ts";
import { Badge } from "../ui/badge.tsx";
import { Meter } from "../ui/meter.tsx";
import { Notice } from "../agents/notice.tsx";
import { Link } from "../ui/router.tsx";

export function WorkspaceBar({ me }: { me: Me }) {
  const space = workspace.value ?? me.workspace;
  const { connections, activeRuns, hostId } = space;
  const words = t().frame.bar;
  const isLost = connection.value.kind !== "open";
  return (
    <section class={`bar ${isLost ? "stale" : ""}`} aria-label={words.workspace}>
      <span class="fact state">
        <span class="label">{words.workspace}</span> <Badge told={tellWorkspace(space)} />
      </span>
      {me.role === "admin" && (
        <span class="fact host" title={words.hostTitle}>
          <span class="label">{words.host}</span> {hostId ? hostName(hostId) : words.noHost}
        </span>
      )}
      <Use space={space} />
      <span class="fact" title={words.runsTitle}>
        <span class="label">{words.runs}</span> {t().agents.inUse(activeRuns, me.limits.concurrentRuns)}
      </span>
      {me.role === "admin" && (
        <span class="fact connections" title={words.connectionsTitle}>
          <span class="label">{words.connections}</span> {connections}
        </span>
      )}
    </section>
  );
}

/** Memory, processor and disk. */
function Use({ space: { memory, cpu, disk, sampledAt } }: { space: Workspace }) {
  const words = t().frame.bar;
  // Before the first sample nobody knows.
  const isKnown = sampledAt !== null;
  const memoryWords = useOf(memory);
  const diskWords = useOf(disk);
  const cpuOfAll = cpu.percent / 100 / Math.max(cpu.cores, 0.01);
  return (
    <>
      <span class="fact memory" title={words.memoryTitle(memoryWords, formatBytes(memory.warnBytes))}>
        <span class="label">{words.memory}</span>
        <Meter
          label={words.memory}
          words={memoryWords}
          used={memory.usedBytes}
          limit={memory.limitBytes}
          mark={memory.warnBytes}
        />
        <span class="value">{isKnown ? formatBytes(memory.usedBytes) : "–"}</span>
      </span>
      <span class="fact cpu" title={words.cpuTitle(formatPart(cpu.percent / 100), t().agents.cores(cpu.cores))}>
        <span class="label">{words.cpu}</span>
        <Meter label={words.cpu} words={formatPart(cpuOfAll)} used={cpuOfAll} limit={1} />
        <span class="value">{formatPart(cpuOfAll)}</span>
      </span>
      <span class="fact disk" title={words.diskTitle(diskWords)}>
        <span class="label">{words.disk}</span>
        <Meter
          label={words.disk}
          words={diskWords}
          used={disk.usedBytes}
          limit={disk.limitBytes}
          mark={disk.limitBytes * 0.9}
        />
        <span class="value">{isKnown || disk.usedBytes > 0 ? formatBytes(disk.usedBytes) : "–"}</span>
      </span>
    </>
  );
}

const useOf = ({ usedBytes, limitBytes }: Workspace["disk"]) =>
  t().common.of(formatBytes(usedBytes), formatBytes(limitBytes));

/** What a person should know now, and what to do about it. Nothing while all is well. */
export function Warnings({ me }: { me: Me }) {
  const { memory, disk, status, reason } = workspace.value ?? me.workspace;
  const lost = connection.value.kind === "lost" ? connection.value : null;
  const words = t().frame;
  return (
    <div class="warnings">
      {me.demoModel && <DemoModel />}
      <div role="status">
        {me.notice && <Notice text={me.notice} />}
        {lost && (
          <p class="warning warn">
            {words.notConnected(strong, typeof lost.why === "string" ? words.why[lost.why] : explain(lost.why))}
          </p>
        )}
        {refusal.value && (
          <p class="warning bad">
            <strong>{words.cannotStart}</strong> {explain(refusal.value)}
          </p>
        )}
        {status === "failed" && !refusal.value && (
          <p class="warning bad">
            <strong>{words.failed}</strong> {reason && <span lang="en">{reason} </span>}
            {t().states.workspace.failed[1]}
          </p>
        )}
        {memory.warning && (
          <p class="warning warn">
            {words.memoryLow(
              strong,
              (link) => (
                <Link href="/">{link}</Link>
              ),
              useOf(memory),
            )}
          </p>
        )}
        {disk.limitBytes > 0 && disk.usedBytes > disk.limitBytes * 0.9 && (
          <p class="warning warn">{words.diskLow(strong, useOf(disk))}</p>
        )}
      </div>
    </div>
  );
}

/** Until it is read: on a phone it takes a quarter of what there is. */
function DemoModel() {
  const words = t().frame;
  const [read, note] = useKept("berth.demo-read");
  if (read !== null) return null;
  return (
    <p class="warning quiet notice">
      <span>
        {words.demo(strong, (name) => (
          <code>{name}</code>
        ))}
      </span>
      <button type="button" class="quiet" onClick={() => note("1")}>
        {words.noted}
      </button>
    </p>
  );
}

const strong: Wrap = (words) => <strong>{words}</strong>;
