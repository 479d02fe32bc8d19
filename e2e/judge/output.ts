/** Rules about output and about who runs when: the bytes in the file, and the marks that programs wrote beside them. */
import type { EventOf } from "./events.ts";
import { type History, nameOf, type Placed, type RunStory } from "./history.ts";
import { endedRunsOf, excused, isDeleted, isForgotten, metFullDisk, ofEach, type Rule, runsOf } from "./rule.ts";

const readersGetTheFile: Rule = {
  says: "every reader is told the bytes of the file, in order, each once",
  judge: ofEach(
    ({ readers }) => readers.values(),
    ({ reader, run: id, after, lines }, history) => {
      const run = history.runs.get(id);
      if (!run || metFullDisk(history, run)) return excused;
      const file = bytesOf(run);
      if (!file && lines.length > 0 && mayBeGone(run, history)) return excused;
      const problem = problemOf(after, lines, file);
      return problem ? `${nameOf(run)} told its reader ${reader} ${problem}` : null;
    },
  ),
};

/** Whether a log that had something in it may be on no host: its agent was deleted, or its host was removed or forgot it. */
const mayBeGone = (run: RunStory, history: History) =>
  isDeleted(history, run.asked.agent) || isForgotten(history, run) || run.end?.run.reason === "host_lost";

/** Of the host that kept most of it. */
function bytesOf({ files }: RunStory): Buffer | null {
  const kept = files.flatMap(({ out }) => (out === null ? [] : [Buffer.from(out, "base64")]));
  return kept.toSorted((one, other) => other.length - one.length)[0] ?? null;
}

function problemOf(after: number, lines: EventOf<"output">[], file: Buffer | null): string | null {
  if (!file && lines.length > 0) return `${lines.length} lines, and its log is on no host`;
  let from = after;
  for (const { offset, data } of lines) {
    if (offset <= from) return `byte ${offset} after byte ${from}`;
    const piece = file!.toString("utf8", from, offset).replace(/\n$/, "");
    if (!isSame(data, piece)) return `${clip(data)} at bytes ${from} to ${offset}, where its file has ${clip(piece)}`;
    from = offset;
  }
  return null;
}

/** A line that is no JSON object comes as one that has its text. */
function isSame(data: string, piece: string): boolean {
  const told = JSON.parse(data) as { type?: unknown; text?: unknown };
  if (told.type === "line") return told.text === piece;
  try {
    return JSON.stringify(told) === JSON.stringify(JSON.parse(piece));
  } catch {
    return false;
  }
}

const clip = (text: string) => JSON.stringify(text.slice(0, 80));

const readerOfTheEndHasAll: Rule = {
  says: "who was told the end was told all of the output, and the file is as long as was told, and sealed",
  judge: ofEach(endedRunsOf, (run, history) => {
    const { reason, logBytes } = run.end!.run;
    if (reason === "host_lost" || metFullDisk(history, run)) return excused;
    const file = bytesOf(run);
    if (!file && logBytes > 0 && !mayBeGone(run, history))
      return `${nameOf(run)} is told with ${logBytes} bytes, and its log is on no host`;
    if (!file) return excused;
    if (file.length !== logBytes)
      return `${nameOf(run)} is told with ${logBytes} bytes, and its file has ${file.length}`;
    const open = run.files.find(({ isSealed, out }) => out !== null && !isSealed);
    if (open && !isForgotten(history, run))
      return `${nameOf(run)} has ended, and its files on ${open.host} can be changed`;
    const { program } = run.asked;
    const lines = file.toString("utf8").split("\n").length - 1;
    const isWhole = program && ["completed", "nonzero_exit"].includes(reason!);
    if (isWhole && lines !== program.lines)
      return `${nameOf(run)} ended by itself with ${lines} lines, and its program prints ${program.lines}`;
    return missingOf(run, history);
  }),
};

/** Readers that were there at the end, but not for all of it. */
function missingOf(run: RunStory, history: History): string[] {
  const { logBytes } = run.end!.run;
  return run.told
    .filter((told) => told.run.endedAt !== null && told.by.startsWith("reader "))
    .flatMap(({ by }) => {
      const { after, lines } = history.readers.get(Number(by.slice("reader ".length)))!;
      const at = lines.at(-1)?.offset ?? after;
      return at === logBytes ? [] : [`${nameOf(run)} was over for ${by} at byte ${at} of ${logBytes}`];
    });
}

const byFile = ({ marks }: History) => [...Map.groupBy(marks, ({ host, agent }) => `${host} ${agent}`).values()];

const oneAtATime: Rule = {
  says: "an agent runs one program at a time",
  judge: ofEach(byFile, (marks) => {
    let [last, lastLine] = ["", -1];
    for (const { what, key, line, agent } of marks) {
      // A full disk or a kill has damaged what stood between: whose it was nobody can say.
      const isDamaged = line !== lastLine + 1;
      if (what === "begin" || isDamaged) last = key;
      lastLine = line;
      if (key !== last) return `agent ${agent} ran ${key} and ${last} at once: see line ${line + 1} of its marks`;
    }
    return null;
  }),
};

const startsOnce: Rule = {
  says: "a program starts once at most",
  judge: ofEach(runsOf, (run, history) => {
    const begins = run.marks.filter((mark) => mark.what === "begin" && mark.run === run.id);
    if (begins.length <= 1 || wasUnderWay(run, begins, history)) return null;
    return `${nameOf(run)} started ${begins.length} times: ${begins.map(({ host, at }) => `on ${host} at ${new Date(at).toISOString()}`).join(", ")}`;
  }),
};

/**
 * Nobody can tell whether a host that was removed, or lost its memory, before it had answered has begun a message: repeated, it may begin on
 * another one too.
 */
function wasUnderWay({ asked, acceptedAt }: RunStory, begins: Placed[], history: History): boolean {
  const [first, second] = begins.toSorted((one, other) => one.at - other.at);
  if (begins.length > 2 || first!.host === second!.host) return false;
  return history
    .all("deed")
    .some(
      ({ deed, host, at }) => deed === "host removed" && host === first!.host && at >= asked.at && at <= acceptedAt,
    );
}

const deliveriesInOrder: Rule = {
  says: "deliveries of an agent begin in the order in which they were accepted",
  judge: ofEach(byFile, (marks, { all }) => {
    const hooked = new Set(all("asked").flatMap(({ via, key }) => (via === "webhook" ? [key] : [])));
    const accepted = Map.groupBy(all("accepted"), ({ key }) => key);
    const begun = marks.filter(({ what, key }) => what === "begin" && hooked.has(key)).map(({ key }) => key);
    for (const [at, key] of begun.entries()) {
      const before = begun[at - 1];
      // One that was delivered again may have been forgotten by a restored gateway in between.
      const [last, first] = [accepted.get(key)?.at(-1)?.at ?? 0, accepted.get(before ?? "")?.[0]?.at ?? 0];
      if (before !== undefined && last < first) return `${key} began after ${before}, which was accepted later`;
    }
    return null;
  }),
};

const threeAUser: Rule = {
  says: "a user has three programs at a time at most",
  judge(history) {
    const most = history.all("campaign")[0]!.maxRuns;
    const users = Map.groupBy(history.marks, ({ user }) => user);
    const wrong = [...users].flatMap(([user, marks]) => {
      const spans = [...Map.groupBy(marks, ({ key, host }) => `${key} ${host}`).values()].map((own) => ({
        from: Math.min(...own.map(({ at }) => at)),
        to: Math.max(...own.map(({ at }) => at)),
      }));
      const crowd = spans
        .map(({ from }) => ({ at: from, count: spans.filter((span) => span.from <= from && from < span.to).length }))
        .find(({ count }) => count > most);
      return crowd ? [`${user} had ${crowd.count} programs at once at ${new Date(crowd.at).toISOString()}`] : [];
    });
    return { checked: users.size, wrong };
  },
};

export const outputRules = {
  readersGetTheFile,
  readerOfTheEndHasAll,
  oneAtATime,
  startsOnce,
  deliveriesInOrder,
  threeAUser,
} satisfies Record<string, Rule>;
