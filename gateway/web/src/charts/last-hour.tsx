/** The last hour of a host, or of the gateway, a column a minute; a minute in which nothing was heard is hatched. */
import { useState } from "preact/hooks";
import type { Health } from "@berth/shared/hosts";
import { get } from "../api/api.ts";
import { language, t } from "../i18n/language.ts";
import { formatBytes, formatDuration } from "../text/format.ts";
import { useEvery } from "../ui/use-answer.ts";
import { Failure } from "../ui/failure.tsx";
import { Columns } from "./columns.tsx";

const minuteMs = 60_000;
type Minute = Health["minutes"][number];

interface ChartProps {
  name: string;
  path: string;
  /** Before that there was nothing to hear. */
  from: string;
  /** What a minute comes to, in words, and of how much. */
  tell: (minute: Minute) => string;
  valueOf: (minute: Minute) => number;
  /** What fills the chart; without it the highest. */
  full?: number;
  sum: (minutes: Minute[]) => string;
}

/** By the memory in use. */
export function HourOfHost({ id, createdAt, totalBytes }: { id: string; createdAt: string; totalBytes: number }) {
  const words = t().hosts.hour;
  const most = (minutes: Minute[], of: (minute: Minute) => number) => Math.max(0, ...minutes.map(of));
  return (
    <Chart
      name={words.memory}
      path={`/v1/admin/health?hostId=${id}`}
      from={createdAt}
      full={totalBytes}
      valueOf={(minute) => minute.memoryUsedBytes}
      tell={(minute) => words.ofHost(formatBytes(minute.memoryUsedBytes), minute.activeRuns)}
      sum={(minutes) =>
        words.mostOfHost(
          formatBytes(most(minutes, (minute) => minute.memoryUsedBytes)),
          most(minutes, (minute) => minute.activeRuns),
        )
      }
    />
  );
}

/** By how long it took to answer what hosts reported. */
export function HourOfGateway({ from }: { from: string }) {
  const words = t().hosts.hour;
  const tell = (minutes: Minute[]) =>
    words.slowest(formatDuration(Math.max(0, ...minutes.map((minute) => minute.answerMs ?? 0))));
  return (
    <Chart
      name={words.gateway}
      path="/v1/admin/health"
      from={from}
      valueOf={(minute) => minute.answerMs ?? 0}
      tell={(minute) => tell([minute])}
      sum={tell}
    />
  );
}

function Chart({ name, path, from, tell, valueOf, full, sum }: ChartProps) {
  const [health, setHealth] = useState<Health | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  useEvery(minuteMs, () => get<Health>(path).then((it) => (setHealth(it), setFailure(null)), setFailure), [path]);
  if (!health) return <Failure error={failure} />;
  const byTime = new Map(health.minutes.map((minute) => [Date.parse(minute.at), minute]));
  const since = Date.parse(health.since);
  const all = Array.from({ length: 60 }, (_, at) => since + at * minuteMs).filter((at) => at >= Date.parse(from));
  if (all.length === 0) return null;
  const highest = full ?? Math.max(1, ...health.minutes.map(valueOf));
  const words = t().hosts.hour;
  const columns = all.map((at) => {
    const minute = byTime.get(at);
    const time = new Intl.DateTimeFormat(language(), { timeStyle: "short" }).format(at);
    return {
      title: `${time}: ${minute ? tell(minute) : words.nothing}`,
      part: minute ? Math.min(1, Math.max(0.01, valueOf(minute) / highest)) : null,
    };
  });
  const silent = columns.filter(({ part }) => part === null).length;
  const label = words.label(name, sum(health.minutes), silent, all.length);
  return (
    <figure class="hour">
      <figcaption>{label}</figcaption>
      <Columns label={label} columns={columns} />
      <Failure error={failure} />
    </figure>
  );
}
