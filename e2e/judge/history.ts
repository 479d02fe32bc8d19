/** A history by what one asks of it: the events of a kind, and all that is known of one run. */
import { type EventOf, type HistoryEvent, type Kind, type Mark, readMark, type ToldRun } from "./events.ts";

/** A mark, and on which host and by which agent it was written. */
export interface Placed extends Mark {
  host: string;
  agent: string;
  user: string;
  /** Its place in the file. */
  line: number;
}
/** Everything about a message that was accepted. */
export interface RunStory {
  id: string;
  asked: EventOf<"asked">;
  acceptedAt: number;
  /** All that was told of it, in order. */
  told: EventOf<"told">[];
  /** The first that told its end; null without one. */
  end: EventOf<"told"> | null;
  rows: EventOf<"row">[];
  files: EventOf<"files">[];
  marks: Placed[];
  /** Hosts that have it in a database, or on a disk. */
  hosts: string[];
}
export type Called = EventOf<"call"> & { answeredAt: number; status: number };
/** A reader, and what it was told. */
export type Reading = EventOf<"reader"> & { lines: EventOf<"output">[] };
export type History = ReturnType<typeof createHistory>;

export function createHistory(events: HistoryEvent[]) {
  const kinds = Map.groupBy(events, ({ kind }) => kind);
  const all = <K extends Kind>(kind: K) => (kinds.get(kind) ?? []) as unknown as EventOf<K>[];
  const marks: Placed[] = all("marks").flatMap(({ host, user, agent, lines }) =>
    lines.flatMap((text, line) =>
      // A disk that was full leaves zeros where the kernel had not written yet, and what comes next stands behind them.
      text.split(/\0+/).flatMap((part) => {
        const mark = readMark(part);
        return mark ? [{ ...mark, host, user, agent, line }] : [];
      }),
    ),
  );
  return { all, marks, runs: readRuns(all, marks), calls: readCalls(all), readers: readReaders(all) };
}

/** Calls by method and path, each with when its answer came, if ever. */
function readCalls(all: <K extends Kind>(kind: K) => EventOf<K>[]): Map<string, Called[]> {
  const answers = new Map(all("answer").map((answer) => [answer.call, answer]));
  const calls = all("call").map((call) => {
    const answer = answers.get(call.call);
    return { ...call, answeredAt: answer?.at ?? Infinity, status: answer?.status ?? 0 };
  });
  return Map.groupBy(calls, ({ method, path }) => `${method} ${path}`);
}

function readReaders(all: <K extends Kind>(kind: K) => EventOf<K>[]): Map<number, Reading> {
  const lines = Map.groupBy(all("output"), ({ reader }) => reader);
  return new Map(all("reader").map((reader) => [reader.reader, { ...reader, lines: lines.get(reader.reader) ?? [] }]));
}

function readRuns(all: <K extends Kind>(kind: K) => EventOf<K>[], marks: Placed[]): Map<string, RunStory> {
  const asked = new Map(all("asked").map((event) => [event.key, event]));
  const told = Map.groupBy(allTold(all), ({ run }) => run.id);
  const rows = Map.groupBy(all("row"), ({ run }) => run.id);
  const files = Map.groupBy(all("files"), ({ run }) => run);
  const byKey = Map.groupBy(marks, ({ key }) => key);
  const runs = new Map<string, RunStory>();
  for (const { run: id, key, at } of all("accepted")) {
    const message = asked.get(key);
    if (runs.has(id) || !message) continue;
    const tellings = told.get(id) ?? [];
    const [found, kept] = [rows.get(id) ?? [], files.get(id) ?? []];
    const hosts = [...found.map(({ host }) => host), ...kept.map(({ host }) => host)].filter((host) => host !== null);
    runs.set(id, {
      id,
      asked: message,
      acceptedAt: at,
      told: tellings,
      end: tellings.find(({ run }) => run.endedAt !== null) ?? null,
      rows: found,
      files: kept,
      marks: byKey.get(key) ?? [],
      hosts: [...new Set(hosts)],
    });
  }
  return runs;
}

/** What was told by streams, sockets, answers and lists alike, in order. */
function allTold(all: <K extends Kind>(kind: K) => EventOf<K>[]): EventOf<"told">[] {
  const listed = all("listed").flatMap(({ at, runs }) =>
    runs.map((run: ToldRun) => ({ kind: "told" as const, at, by: "list", run })),
  );
  return [...all("told"), ...listed];
}

/** The run, as a person finds it in the history. */
export const nameOf = ({ id, asked }: RunStory) => `run ${id} (${asked.key} of ${asked.user})`;

/** From when the message was sent to its end: when that was seen first, or when it was by its own word where somebody looked late. */
export function lifeOf({ asked, end }: RunStory): { from: number; to: number } {
  return { from: asked.at, to: end ? Math.min(end.at, Date.parse(end.run.endedAt!)) : Infinity };
}
