/** One run: the message, what the agent did, how it ended. The transcript is fetched when it comes near the view. */
import { useComputed } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Run } from "@berth/shared/resources";
import { runtimeFacts } from "@berth/shared/kinds/runtimes";
import { t } from "../i18n/language.ts";
import { formatBytes, formatCost, formatCount, formatDuration } from "../text/format.ts";
import { Attachments } from "../files/attachments.tsx";
import { agentById } from "../state/agents.ts";
import { askedOf, continued, logs } from "../state/live.ts";
import type { RunLog } from "../state/run-logs.ts";
import { CopyButton } from "../ui/copy-button.tsx";
import { LongText } from "../ui/long-text.tsx";
import { ItemView } from "../transcript/item-view.tsx";
import { EarlierCalls } from "../transcript/tool-call.tsx";
import { callOf } from "../transcript/tools.ts";
import { Transcript } from "./transcript.tsx";
import { originWords, tellRun } from "../text/words.ts";
import { Ago, now } from "../ui/ago.tsx";
import { Badge } from "../ui/badge.tsx";
import { memo } from "../transcript/memo.ts";
import { MessageActions } from "./message-actions.tsx";
import { LateChange, QueuedPrompt, SlotsInUse, UnreadWords } from "./queued.tsx";
import { StopButton } from "./stop-button.tsx";
import { WaitingCard } from "./waiting-card.tsx";

/** Drawn again when its run is another, not with every run that is. */
export const RunSection = memo(DrawnRun, (before, after) => before.run === after.run);

function DrawnRun({ run }: { run: Run }) {
  const section = useRef<HTMLElement>(null);
  const log = useNearLog(run, section);
  const isLive = run.endedAt === null;
  const words = t().conversation;
  const origin = originWords()[run.trigger.kind][1];
  const ago = <Ago time={run.createdAt} />;
  return (
    <article class="run" id={run.id} tabIndex={-1} ref={section} aria-label={words.message(run.prompt.slice(0, 80))}>
      {run.continues === null ? (
        <div class={`prompt ${isScript(run) ? "script" : ""}`}>
          {run.status === "pending" && run.trigger.kind === "api" ? (
            <QueuedPrompt run={run} />
          ) : (
            <LongText text={run.prompt} />
          )}
          <Attachments agentId={run.agentId} paths={run.attachments} />
          <LateChange run={run} />
          <p class="muted">
            {origin ? words.from(origin, ago) : ago}
            <MessageActions run={run} />
          </p>
        </div>
      ) : (
        <p class="scar" role="separator">
          {words.goesOn} {ago}
        </p>
      )}
      <EarlierCalls.Provider value={useEarlierCalls(run.continues)}>
        <RunBody run={run} log={log} />
      </EarlierCalls.Provider>
      <UnreadWords run={run} log={log} />
      {isLive ? <Going run={run} log={log} /> : <End run={run} />}
    </article>
  );
}

const isScript = (run: Run) => runtimeFacts[agentById(run.agentId)?.runtime ?? "claude"].isScript;

/** What the run before has called, so that what is done again shows as such. */
function useEarlierCalls(runId: string | null): ReadonlySet<string> {
  const log = useLog(runId);
  const version = log?.version.value;
  return useMemo(
    () => new Set(log?.fold.items.flatMap((item) => (item.kind === "tool" ? callOf(item) : []))),
    [log, version],
  );
}

/** Follows the run's log from when the section comes near the view. */
function useNearLog(run: Run, section: { current: HTMLElement | null }): RunLog | null {
  const [isNear, setNear] = useState(run.endedAt === null);
  useEffect(() => {
    if (isNear || !section.current) return;
    const root = section.current.closest(".scroller");
    const observer = new IntersectionObserver(
      (entries) => entries.some(({ isIntersecting }) => isIntersecting) && setNear(true),
      { root, rootMargin: "1200px 0px" },
    );
    observer.observe(section.current);
    return () => observer.disconnect();
  }, [isNear]);
  return useLog(isNear && run.status !== "pending" ? run.id : null);
}

function useLog(runId: string | null): RunLog | null {
  const [log, setLog] = useState<RunLog | null>(null);
  useEffect(() => {
    if (runId === null) return;
    const watched = logs.watch(runId);
    setLog(watched.log);
    return watched.release;
  }, [runId]);
  return log;
}

/** The transcript once it is here; until then the result, which the gateway knows without the host. */
function RunBody({ run, log }: { run: Run; log: RunLog | null }) {
  const state = log?.state.value ?? "loading";
  void log?.version.value;
  const isLive = run.endedAt === null;
  const hasItems = (log?.fold.items.length ?? 0) > 0;
  if (log && (hasItems || state === "complete" || isLive) && !(state === "loading" && !isLive))
    return <Transcript log={log} isLive={isLive} />;
  if (isLive) return null;
  return (
    <div class="transcript">
      {run.result && (
        <ItemView
          item={{ kind: isScript(run) ? "output" : "text", text: run.result, isOpen: false, isNested: false, rev: 0 }}
          isLive={false}
        />
      )}
      {state === "loading" && !run.result && <p class="item note quiet">{t().conversation.loadingTranscript}</p>}
      {state === "gone" && <p class="item note quiet">{t().conversation.transcriptGone}</p>}
    </div>
  );
}

function Going({ run, log }: { run: Run; log: RunLog | null }) {
  const told = tellRun(run);
  void log?.version.value;
  const asked = askedOf(run);
  const isSilent = (log?.fold.items.length ?? 0) === 0;
  const elapsedMs = run.startedAt ? Math.floor((now.value - Date.parse(run.startedAt)) / 1000) * 1000 : 0;
  return (
    <div class="end going">
      <Badge told={told} />
      {run.status === "running" && elapsedMs > 0 && (
        <span class="muted">{t().conversation.runningFor(formatDuration(elapsedMs))}</span>
      )}
      <Cost run={run} />
      {told.advice && <p class="advice">{told.advice}</p>}
      {run.waitingFor?.kind === "slots" && <SlotsInUse />}
      {run.status === "pending" && <StopButton run={run} />}
      {asked && <WaitingCard key={asked.requestId} run={run} asked={asked} log={log} />}
      {run.status === "running" && isSilent && <span class="muted">{t().conversation.noOutput}</span>}
    </div>
  );
}

function End({ run }: { run: Run }) {
  const goesOn = useComputed(() => continued.value.has(run.id));
  const told = tellRun(run, goesOn.value);
  const took = run.startedAt && run.endedAt ? Date.parse(run.endedAt) - Date.parse(run.startedAt) : null;
  return (
    <div class={`end ${told.tone}`}>
      <Badge told={told} />
      {took !== null && <span class="muted">{formatDuration(took)}</span>}
      <Cost run={run} />
      {run.result && <CopyButton text={run.result} label={t().conversation.copyAnswer} />}
      {told.advice && <p class="advice">{told.advice}</p>}
      {run.stderrTail && (
        <details open={run.reason === "nonzero_exit"}>
          <summary>{t().conversation.errorOutput}</summary>
          <LongText text={run.stderrTail} />
          <p class="muted">
            <a href={`/v1/runs/${run.id}/stderr`} target="_blank" rel="noopener">
              {t().conversation.allOfIt}
            </a>
          </p>
        </details>
      )}
    </div>
  );
}

function Cost({ run: { usage, logBytes } }: { run: Run }) {
  const input = usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens;
  const words = t().conversation;
  if (input + usage.outputTokens === 0) return null;
  return (
    <span
      class="muted"
      title={words.usage({
        input: formatCount(input),
        cached: formatCount(usage.cacheReadTokens),
        output: formatCount(usage.outputTokens),
        log: formatBytes(logBytes),
      })}
    >
      {words.cost(formatCost(usage.costUsd), formatCount(input + usage.outputTokens))}
    </span>
  );
}
