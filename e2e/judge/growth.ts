/** Whether anything grows without an end: what a process holds, or a machine has, late in its life against the middle of it. */
import type { EventOf, HistoryEvent } from "./events.ts";
import type { History } from "./history.ts";
import type { Rule } from "./rule.ts";

/** What may come on top between the middle and the end: it is in motion all the while. */
const allowances: Record<string, number> = {
  memory: 32,
  descriptors: 48,
  tasks: 24,
  processes: 48,
  containers: 6,
  execs: 24,
  mounts: 24,
};
const isProcess = ({ values }: EventOf<"sample">) => "memory" in values;
/** A process younger than this fills its caches, and a runtime its heap. */
const warmMs = 600_000;
const fewest = 6;

interface Line {
  of: string;
  value: string;
  hours: number;
  middle: number;
  late: number;
  /** By least squares over the last two thirds, an hour. */
  slope: number;
}

/** Each thing that was looked at often enough in one life. */
function linesOf(samples: EventOf<"sample">[]): Line[] {
  const lives = Map.groupBy(samples, ({ of, life }) => `${of} ${life}`).values();
  return [...lives].flatMap((life) => {
    const ms = life.at(-1)!.at - life[0]!.at;
    if (life.length < fewest || (isProcess(life[0]!) && ms < warmMs)) return [];
    const third = Math.floor(life.length / 3);
    return Object.keys(life[0]!.values).map((value) => {
      const points = life.map(({ at, values }) => ({ hour: (at - life[0]!.at) / 3_600_000, y: values[value]! }));
      const median = (part: typeof points) => part.map(({ y }) => y).toSorted((a, b) => a - b)[part.length >> 1]!;
      return {
        of: life[0]!.of,
        value,
        hours: ms / 3_600_000,
        middle: median(points.slice(third, 2 * third)),
        late: median(points.slice(2 * third)),
        slope: slopeOf(points.slice(third)),
      };
    });
  });
}

function slopeOf(points: { hour: number; y: number }[]): number {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map(({ hour }) => hour)), mean(points.map((point) => point.y))];
  const spread = points.reduce((sum, { hour }) => sum + (hour - x) ** 2, 0);
  return points.reduce((sum, point) => sum + (point.hour - x) * (point.y - y), 0) / spread;
}

const nothingGrows: Rule = {
  says: "what a process holds and a machine has late in its life is what it was in the middle",
  judge({ all }: History) {
    const lines = linesOf(all("sample"));
    const wrong = lines
      .filter(({ value, middle, late }) => late > middle * 1.1 + allowances[value]!)
      .map(({ of, value, middle, late }) => `${value} of ${of} grew from ${middle} to ${late}`);
    return { checked: lines.length, wrong };
  },
};

export const growthRules = { nothingGrows };

/** A line for each, the longest lives first: the median of the middle third, of the last, and the slope. */
export function slopesOf(events: HistoryEvent[]): string[] {
  const samples = events.filter((event) => event.kind === "sample");
  return linesOf(samples)
    .toSorted((one, other) => other.hours - one.hours)
    .map(
      ({ of, value, hours, middle, late, slope }) =>
        `${of}, ${value}: ${middle} → ${late}, ${slope < 0 ? "" : "+"}${slope.toFixed(1)} an hour (${(hours * 60).toFixed(0)} min)`,
    );
}
