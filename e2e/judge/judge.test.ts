import { expect, test } from "vitest";
import type { HistoryEvent, Kind, EventOf, Recorded, ToldRun } from "./events.ts";
import { judge, type RuleName, rules } from "./judge.ts";

/** A small good history; each bad one below is this one with one thing changed. */
function tell(): HistoryEvent[] {
  const events: HistoryEvent[] = [];
  let at = 1_000_000;
  const add = (event: Recorded, ms = 10) => void events.push({ at: (at += ms), ...event });
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  const marks: string[] = [];
  const others: string[] = [];
  const mark = (to: string[], what: string, key: string, run: string, init = "700") =>
    to.push(`${what} ${key} ${run} ${((at += 10) / 1000).toFixed(6)} ${init}`);
  add({ kind: "campaign", seed: 1, runTimeoutMs: 90_000, maxRuns: 1, logLimitBytes: 1000 });
  for (const user of ["u1", "u2"]) {
    add({ kind: "user", user, name: user });
    add({ kind: "agent", user, agent: `a-${user}`, runtime: "shell" });
  }
  add({ kind: "agent", user: "u1", agent: "a-gone", runtime: "shell" });
  add({ kind: "engine", host: "h1", action: "start", container: "c1", user: "u1" });
  add({ kind: "container", host: "h1", container: "c1", isAlive: true, init: "700" });

  // A run that completes, with a reader that comes back.
  add({ kind: "asked", key: "k1", user: "u1", agent: "a-u1", via: "api", program: { lines: 2, exitCode: 0 } });
  add({ kind: "call", call: 1, by: "u1", method: "POST", path: "/v1/agents/a-u1/runs", key: "k1" });
  add({ kind: "answer", call: 1, status: 202, body: {} });
  add({ kind: "accepted", key: "k1", run: "r1" });
  mark(marks, "begin", "k1", "r1");
  add({ kind: "reader", reader: 1, run: "r1", after: 0, by: "stream" });
  add({ kind: "output", reader: 1, offset: 2, data: '{"type":"line","text":"1"}' });
  mark(marks, "end", "k1", "r1");
  add({ kind: "reader", reader: 2, run: "r1", after: 2, by: "socket" });
  add({ kind: "output", reader: 2, offset: 4, data: '{"type":"line","text":"2"}' });
  const r1 = run("r1", "a-u1", "completed", "completed", 0, 4);
  add({ kind: "told", by: "reader 2", run: r1 });

  // One that is lost with its container.
  add({ kind: "asked", key: "k2", user: "u1", agent: "a-u1", via: "api", program: { lines: 2, exitCode: 0 } });
  add({ kind: "accepted", key: "k2", run: "r2" });
  mark(marks, "begin", "k2", "r2");
  add({ kind: "deed", deed: "containers killed", host: "h1" });
  add({ kind: "engine", host: "h1", action: "die", container: "c1", user: "u1" });
  add({ kind: "container", host: "h1", container: "c1", isAlive: false, init: "700" });
  const r2 = run("r2", "a-u1", "failed", "container_lost", null, 0);
  add({ kind: "told", by: "get", run: r2 });

  // A delivery, after a minute.
  add({ kind: "engine", host: "h1", action: "start", container: "c2", user: "u1" }, 60_000);
  add({ kind: "container", host: "h1", container: "c2", isAlive: true, init: "900" });
  add({ kind: "asked", key: "w1", user: "u1", agent: "a-u1", via: "webhook", program: { lines: 1, exitCode: 3 } });
  add({ kind: "accepted", key: "w1", run: "r3" });
  add({ kind: "accepted", key: "w1", run: "r3" });
  mark(marks, "begin", "w1", "r3", "900");
  mark(marks, "end", "w1", "r3", "900");
  const r3 = run("r3", "a-u1", "failed", "nonzero_exit", 3, 2);
  add({ kind: "told", by: "get", run: r3 });

  add({ kind: "asked", key: "w2", user: "u1", agent: "a-u1", via: "webhook", program: { lines: 1, exitCode: 3 } });
  add({ kind: "accepted", key: "w2", run: "r5" });
  mark(marks, "begin", "w2", "r5", "900");
  mark(marks, "end", "w2", "r5", "900");
  const r5 = run("r5", "a-u1", "failed", "nonzero_exit", 3, 2);
  add({ kind: "told", by: "get", run: r5 });

  // One of another user that is cancelled, and an agent that is deleted.
  add({ kind: "asked", key: "k4", user: "u2", agent: "a-u2", via: "api", program: { lines: 9, exitCode: 0 } });
  add({ kind: "accepted", key: "k4", run: "r4" });
  mark(others, "begin", "k4", "r4", "950");
  add({ kind: "call", call: 2, by: "u2", method: "POST", path: "/v1/runs/r4/cancel" });
  add({ kind: "answer", call: 2, status: 200, body: {} });
  const r4 = run("r4", "a-u2", "cancelled", "cancelled", 143, 0);
  add({ kind: "told", by: "get", run: r4 });
  add({ kind: "call", call: 3, by: "u1", method: "DELETE", path: "/v1/agents/a-gone" });
  add({ kind: "answer", call: 3, status: 204, body: "" });

  // What is found at the end, after a minute.
  const idle = { status: "idle" };
  add({ kind: "listed", user: "u1", runs: [r5, r3, r2, r1], agents: [{ id: "a-u1", ...idle }] }, 60_000);
  add({ kind: "listed", user: "u2", runs: [r4], agents: [{ id: "a-u2", ...idle }] });
  add({ kind: "left", host: "h1", what: "containers and processes", items: [] });
  add({ kind: "log", by: "h1", line: '{"level":"info","event":"host.ready"}' });
  add({ kind: "ended", daemon: "h1", code: 0, asked: "SIGTERM" });
  for (const user of ["u1", "u2"]) add({ kind: "placed", user, host: "h1" });
  for (const told of [r1, r2, r3, r4, r5]) {
    const container = told.id === "r2" ? "c1" : null;
    add({ kind: "row", host: null, database: "gateway.sqlite", run: told, container: null });
    add({ kind: "row", host: "h1", database: "h1/host.db", run: told, container });
  }
  add({ kind: "database", database: "h1/host.db", integrity: "ok" });
  add({ kind: "agentRow", host: "h1", database: "h1/host.db", agent: "a-u1", uid: 20_001 });
  add({ kind: "agentRow", host: "h1", database: "h1/host.db", agent: "a-u2", uid: 20_002 });
  add({ kind: "agentRow", host: "h1", database: "h1/host.db", agent: "a-gone", uid: 20_003 });
  const files = (user: string, run: string, out: string, exit: string) =>
    add({ kind: "files", host: "h1", user, run, out: base64(out), exit: base64(exit), isSealed: true });
  files("u1", "r1", "1\n2\n", "\nbegun\n0\n");
  files("u1", "r2", "", "\nbegun\n");
  files("u1", "r3", "1\n", "\nbegun\n3\n");
  files("u1", "r5", "1\n", "\nbegun\n3\n");
  files("u2", "r4", "", "\nbegun\n143\n");
  add({ kind: "marks", host: "h1", user: "u1", agent: "a-u1", lines: marks });
  add({ kind: "marks", host: "h1", user: "u2", agent: "a-u2", lines: others });
  add({ kind: "owners", host: "h1", user: "u1", agent: "a-u1", uids: [0, 20_001] });
  add({ kind: "owners", host: "h1", user: "u2", agent: "a-u2", uids: [20_002] });
  for (let count = 0; count < 9; count++) {
    add({ kind: "sample", of: "gateway", life: "71", values: { memory: 90, descriptors: 30, tasks: 11 } }, 120_000);
    add({ kind: "sample", of: "objects of h1", life: "h1", values: { containers: 2, execs: 3, mounts: 4 } });
  }
  return events;
}

function run(
  id: string,
  agentId: string,
  status: string,
  reason: string,
  exitCode: number | null,
  logBytes: number,
): ToldRun {
  return { id, agentId, status, reason, exitCode, logBytes, endedAt: "2026-11-28T20:00:00.000Z" };
}

type Change = (events: HistoryEvent[]) => HistoryEvent[];
/** Changes the first event of a kind that fits. */
const change =
  <K extends Kind>(kind: K, fits: (event: EventOf<K>) => boolean, more: (event: EventOf<K>) => object): Change =>
  (events) => {
    const at = events.findIndex((event) => event.kind === kind && fits(event as unknown as EventOf<K>));
    if (at === -1) throw new Error(`the good history has no such ${kind}`);
    return events.with(at, { ...events[at]!, ...more(events[at] as unknown as EventOf<K>) });
  };
const without =
  <K extends Kind>(kind: K, fits: (event: EventOf<K>) => boolean = () => true): Change =>
  (events) => {
    const left = events.filter((event) => !(event.kind === kind && fits(event as unknown as EventOf<K>)));
    if (left.length === events.length) throw new Error(`the good history has no such ${kind}`);
    return left;
  };
/** Puts an event after the last of a kind. */
const after =
  (kind: Kind, event: object): Change =>
  (events) => {
    const at = events.findLastIndex((one) => one.kind === kind);
    return events.toSpliced(at + 1, 0, { at: events[at]!.at + 1, ...event } as HistoryEvent);
  };
const all =
  (...changes: Change[]): Change =>
  (events) =>
    changes.reduce((changed, one) => one(changed), events);
/** Everything that tells of a run tells of it so. */
const everywhere =
  (id: string, more: Partial<ToldRun>): Change =>
  (events) =>
    events.map((event) => {
      if (event.kind === "listed")
        return { ...event, runs: event.runs.map((told) => (told.id === id ? { ...told, ...more } : told)) };
      const isOf = (event.kind === "told" || event.kind === "row") && event.run.id === id;
      return isOf ? { ...event, run: { ...event.run, ...more } } : event;
    });
/** A container of u1 runs on another host beside the first one. */
const elsewhere: Change = (events) =>
  after("campaign", { at: 1_000_000, kind: "engine", host: "h0", action: "start", container: "c0", user: "u1" })(
    events,
  );
const base64 = (text: string) => Buffer.from(text).toString("base64");
const addMark = (user: string, ...lines: string[]) =>
  change(
    "marks",
    (marks) => marks.user === user,
    (marks) => ({ lines: [...marks.lines, ...lines] }),
  );

const open = { endedAt: null, status: "running", reason: null };
/** A gateway is restored after the end of r1, hears its host at these moments, and tells r1 as running. */
const restoredAndTold = (...heardAt: number[]): Change =>
  all(
    after("deed", { at: 1_020_000, kind: "deed", deed: "gateway restored", host: "gateway" }),
    after("told", { at: 1_060_000, kind: "told", by: "get", run: { ...run("r1", "a-u1", "", "", 0, 2), ...open } }),
    ...heardAt.map((at) => after("told", { at, kind: "heard", host: "h1" })),
  );

/** For each rule histories that it alone refuses, and a word of what it says. */
const bad: Record<RuleName, Record<string, [change: Change, says: RegExp]>> = {
  acceptedRunEnds: {
    "a run that was accepted is not listed": [
      change(
        "listed",
        ({ user }) => user === "u2",
        () => ({ runs: [] }),
      ),
      /run r4 .* was accepted and is listed nowhere/,
    ],
    "a run has no end": [
      all(
        change(
          "told",
          ({ run }) => run.id === "r4",
          ({ run }) => ({ run: { ...run, ...open } }),
        ),
        change(
          "listed",
          ({ user }) => user === "u2",
          ({ runs }) => ({ runs: runs.map((run) => ({ ...run, ...open })) }),
        ),
      ),
      /run r4 .* has no end: running/,
    ],
  },
  nobodyAsked: {
    "a run that nobody asked for is on a disk": [
      after("files", { kind: "files", host: "h1", user: "u1", run: "r9", out: null, exit: null, isSealed: true }),
      /the files of h1: r9/,
    ],
    "a program ran as a run that nobody was told of": [
      addMark("u2", "begin k9 r9 2000.000000 950", "end k9 r9 2000.100000 950"),
      /the marks on h1: r9/,
    ],
  },
  keyIsOneRun: {
    "a message that was sent again is another run": [
      change(
        "accepted",
        ({ key }) => key === "k4",
        () => ({ key: "k1" }),
      ),
      /k1 was accepted as r1 and as r4/,
    ],
  },
  endNeverChanges: {
    "a run is told with two ends": [
      after("told", { kind: "told", by: "get", run: run("r1", "a-u1", "failed", "nonzero_exit", 1, 4) }),
      /run r1 .* ended completed.*, and failed/,
    ],
    "an ended run is told as running a minute later": [
      after("told", { at: 1_060_000, kind: "told", by: "get", run: { ...run("r1", "a-u1", "", "", 0, 2), ...open } }),
      /run r1 .* had ended and was told as running/,
    ],
    "a run is told as running when a restored gateway has long heard of its host": [
      restoredAndTold(1_030_000, 1_035_000),
      /run r1 .* had ended and was told as running/,
    ],
  },
  databasesAgree: {
    "the gateway keeps another exit code than the host": [
      change(
        "row",
        ({ host, run }) => host === "h1" && run.id === "r3",
        ({ run }) => ({ run: { ...run, exitCode: 4 } }),
      ),
      /run r3 .* ended for h1 .*exit code 4.*for the gateway .*exit code 3/,
    ],
    "the gateway does not have a run": [
      without("row", ({ host, run }) => host === null && run.id === "r3"),
      /run r3 .* is not in the gateway's database/,
    ],
  },
  exitIsTold: {
    "the exit file says another code": [
      change(
        "files",
        ({ run }) => run === "r4",
        () => ({ exit: base64("\nbegun\n7\n") }),
      ),
      /run r4 .* is told with exit code 143, and its exit file says 7/,
    ],
    "a run that completed is told as lost with its container": [
      change(
        "files",
        ({ run }) => run === "r2",
        () => ({ exit: base64("\nbegun\n0\n") }),
      ),
      /run r2 .* is told with exit code null, and its exit file says 0/,
    ],
    "a run has no files": [without("files", ({ run }) => run === "r4"), /run r4 .* has no files on any host/],
  },
  endIsThePrograms: {
    "a program that ends with 3 is told to have ended with 0": [
      all(
        everywhere("r3", { status: "completed", reason: "completed", exitCode: 0 }),
        change(
          "files",
          ({ run }) => run === "r3",
          () => ({ exit: base64("\nbegun\n0\n") }),
        ),
      ),
      /run r3 .* ended by itself with exit code 0, and its program with 3/,
    ],
    "a run is told as completed whose program never was at its end": [
      change(
        "marks",
        ({ user }) => user === "u1",
        ({ lines }) => ({ lines: lines.filter((line) => !line.startsWith("end k1")) }),
      ),
      /run r1 .* is told as completed, and its program never was at its end/,
    ],
  },
  endHasEvidence: {
    "a container is told as lost while nothing killed one": [
      without("deed"),
      /run r2 .* is told as container_lost, and nothing killed a container/,
    ],
    "a container is told as lost that neither engine nor kernel saw end": [
      all(
        change(
          "engine",
          ({ action }) => action === "die",
          ({ at }) => ({ at: at + 30_000 }),
        ),
        change(
          "container",
          ({ isAlive }) => !isAlive,
          ({ at }) => ({ at: at + 30_000 }),
        ),
      ),
      /run r2 .* is told as container_lost, and neither engine nor kernel saw its container end/,
    ],
    "a container ended long before anything killed one": [
      all(
        change(
          "deed",
          () => true,
          ({ at }) => ({ at: at + 40_000 }),
        ),
        change(
          "told",
          ({ run }) => run.id === "r2",
          ({ at }) => ({ at: at + 50_000 }),
        ),
      ),
      /run r2 .* is told as container_lost, and its container ended when nothing killed it/,
    ],
    "a container went for a volume that never failed": [
      all(
        change(
          "deed",
          () => true,
          () => ({ deed: "disk full" }),
        ),
        after("deed", { kind: "deed", deed: "disk free", host: "h1" }),
      ),
      /run r2 .* is told as container_lost, and nothing killed a container/,
    ],
    "a host is told as lost that is there": [
      everywhere("r4", { status: "failed", reason: "host_lost" }),
      /run r4 .* is told as host_lost, and its host was neither removed/,
    ],
    "a run is told as cancelled that nobody cancelled": [
      without("call", ({ path }) => path === "/v1/runs/r4/cancel"),
      /run r4 .* is told as cancelled, and nobody asked for that/,
    ],
    "a run is told as out of memory where the kernel killed nothing": [
      everywhere("r4", { status: "failed", reason: "out_of_memory" }),
      /run r4 .* is told as out_of_memory, and the kernel killed no process/,
    ],
    "a run is told as timed out after some milliseconds": [
      everywhere("r4", { status: "failed", reason: "timed_out" }),
      /run r4 .* is told as timed_out, only \d+ ms after it began/,
    ],
    "a run is told with a full disk that was not": [
      everywhere("r4", { status: "failed", reason: "disk_full" }),
      /run r4 .* is told as disk_full, and no disk/,
    ],
    "a run is told as beyond its log's limit with no output": [
      everywhere("r4", { status: "failed", reason: "log_limit" }),
      /run r4 .* is told as log_limit, with 0 bytes/,
    ],
    "a run is told with a reason that nothing brings about": [
      everywhere("r4", { status: "failed", reason: "budget_reached" }),
      /run r4 .* is told as budget_reached, which nothing here brings about/,
    ],
  },
  messageIsOneRun: {
    "a delivery ran as a second run too": [
      addMark("u2", "begin w1 r4 2000.000000 950", "end w1 r4 2000.100000 950"),
      /w1 of u1 ran as r3 and as r4/,
    ],
  },
  listedOnce: {
    "a list has a run twice": [
      change(
        "listed",
        ({ user }) => user === "u2",
        ({ runs }) => ({ runs: [...runs, ...runs] }),
      ),
      /the list of u2 has r4 twice/,
    ],
    "an agent is busy when nothing goes on": [
      change(
        "listed",
        ({ user }) => user === "u2",
        () => ({ agents: [{ id: "a-u2", status: "running" }] }),
      ),
      /agent a-u2 of u2 is running/,
    ],
  },
  readersGetTheFile: {
    "a reader is told a line twice": [
      after("output", { kind: "output", reader: 2, offset: 4, data: '{"type":"line","text":"2"}' }),
      /run r1 .* told its reader 2 byte 4 after byte 4/,
    ],
    "a reader is told another line than the file has": [
      change(
        "output",
        ({ reader }) => reader === 1,
        () => ({ data: '{"type":"line","text":"7"}' }),
      ),
      /run r1 .* told its reader 1 .*7.*where its file has "1"/,
    ],
    "a line is left out": [
      change(
        "output",
        ({ reader }) => reader === 1,
        () => ({ offset: 4, data: '{"type":"line","text":"2"}' }),
      ),
      /run r1 .* told its reader 1/,
    ],
    "a cancelled run's reader is told a line, and its log is nowhere": [
      all(
        change(
          "files",
          ({ run }) => run === "r4",
          () => ({ out: null }),
        ),
        after("output", { kind: "reader", reader: 4, run: "r4", after: 0, by: "stream" }),
        after("reader", { kind: "output", reader: 4, offset: 2, data: '{"type":"line","text":"1"}' }),
      ),
      /run r4 .* told its reader 4 1 lines, and its log is on no host/,
    ],
  },
  readerOfTheEndHasAll: {
    "a reader is told the end before the last line": [
      without("output", ({ reader }) => reader === 2),
      /run r1 .* was over for reader 2 at byte 2 of 4/,
    ],
    "a log can be changed after the end": [
      change(
        "files",
        ({ run }) => run === "r3",
        () => ({ isSealed: false }),
      ),
      /run r3 .* has ended, and its files on h1 can be changed/,
    ],
    "the file is longer than was told": [
      change(
        "files",
        ({ run }) => run === "r4",
        () => ({ out: base64("more\n") }),
      ),
      /run r4 .* is told with 0 bytes, and its file has 5/,
    ],
    "the log of a completed run is nowhere": [
      change(
        "files",
        ({ run }) => run === "r5",
        () => ({ out: null }),
      ),
      /run r5 .* is told with 2 bytes, and its log is on no host/,
    ],
    "a program that prints one line is told with two": [
      all(
        everywhere("r3", { logBytes: 4 }),
        change(
          "files",
          ({ run }) => run === "r3",
          () => ({ out: base64("1\n2\n") }),
        ),
      ),
      /run r3 .* ended by itself with 2 lines, and its program prints 1/,
    ],
  },
  oneAtATime: {
    "a program goes on after the next one of its agent began": [
      change(
        "marks",
        ({ user }) => user === "u1",
        ({ lines }) => ({
          lines: [...lines.slice(0, 3), lines[0]!.replace("begin", "tick"), ...lines.slice(3)],
        }),
      ),
      /agent a-u1 ran k1 and k2 at once/,
    ],
  },
  startsOnce: {
    "a program starts twice": [
      change(
        "marks",
        ({ user }) => user === "u2",
        ({ lines }) => ({ lines: [lines[0]!, lines[0]!] }),
      ),
      /run r4 .* started 2 times/,
    ],
  },
  deliveriesInOrder: {
    "a delivery begins before one that came earlier": [
      change(
        "marks",
        ({ user }) => user === "u1",
        ({ lines }) => ({ lines: [...lines.slice(0, 3), ...lines.slice(5), ...lines.slice(3, 5)] }),
      ),
      /w1 began after w2, which was accepted later/,
    ],
  },
  threeAUser: {
    "a user has one program more at a time than may be": [
      change(
        "campaign",
        () => true,
        () => ({ maxRuns: 0 }),
      ),
      /u1 had 1 programs at once/,
    ],
  },
  uidHasOneOwner: {
    "an agent gets the uid of another one": [
      after("agentRow", { kind: "agentRow", host: "h1", database: "h1/host.db.former-1", agent: "a-u2", uid: 20_001 }),
      /uid 20001 of h1 belongs to a-u1 and to a-u2/,
    ],
  },
  filesHaveOneOwner: {
    "an agent has files of two uids": [
      change(
        "owners",
        ({ agent }) => agent === "a-u1",
        () => ({ uids: [20_001, 20_009] }),
      ),
      /the files of agent a-u1 on h1 belong to 20001 and 20009/,
    ],
  },
  deletedAgentsAreGone: {
    "a deleted agent is listed": [
      change(
        "listed",
        ({ user }) => user === "u1",
        ({ agents }) => ({ agents: [...agents, { id: "a-gone", status: "idle" }] }),
      ),
      /agent a-gone was deleted and is listed/,
    ],
    "a deleted agent's files are there": [
      after("owners", { kind: "owners", host: "h1", user: "u1", agent: "a-gone", uids: [20_003] }),
      /agent a-gone was deleted, and h1 has its files/,
    ],
  },
  nothingIsLeft: {
    "a process is left": [
      change(
        "left",
        () => true,
        () => ({ items: ["sleep 7777"] }),
      ),
      /h1 has containers and processes left: sleep 7777/,
    ],
  },
  databasesAreWhole: {
    "a database is damaged": [
      change(
        "database",
        () => true,
        () => ({ integrity: "row 7 missing from index" }),
      ),
      /h1\/host\.db is damaged/,
    ],
  },
  processesStay: {
    "a process ends by itself": [
      change(
        "ended",
        () => true,
        () => ({ asked: null, code: 1 }),
      ),
      /h1 ended by itself with 1/,
    ],
    "a process does not end as it should": [
      change(
        "ended",
        () => true,
        () => ({ code: 137 }),
      ),
      /h1 ended with 137 on SIGTERM/,
    ],
  },
  oneContainerAUser: {
    "a second container of a user starts beside the first": [
      after("campaign", { kind: "engine", host: "h1", action: "start", container: "c0", user: "u1" }),
      /u1 had 2 containers at once: c0 on h1, c1 on h1/,
    ],
    "a second container of a user starts on another host": [
      elsewhere,
      /u1 had 2 containers at once: c0 on h0, c1 on h1/,
    ],
  },
  logHasFacts: {
    "a log has a stack": [
      after("log", { kind: "log", by: "h1", line: "    at Runs.settle (run.ts:274:1)" }),
      /the log of h1 has: {5}at Runs/,
    ],
    "a log has a warning of Node": [
      after("log", { kind: "log", by: "h1", line: "(node:1) TimeoutNegativeWarning: -200 is a negative number." }),
      /the log of h1 has: .*TimeoutNegativeWarning/,
    ],
  },
  nothingGrows: {
    "memory of a process is more at each look": [
      (events) => grown(events, "memory", 30),
      /memory of gateway grew from 210 to 300/,
    ],
    "a machine keeps a container of each look": [
      (events) => grown(events, "containers", 3),
      /containers of objects of h1 grew from 14 to 23/,
    ],
  },
  driverSawNothing: {
    "a fault could not be mended": [
      after("deed", { kind: "remark", text: "h1 does not come back" }),
      /h1 does not come back/,
    ],
  },
};

/** One more at each sample than at the one before. */
function grown(events: HistoryEvent[], value: string, by: number): HistoryEvent[] {
  let count = 0;
  return events.map((event) =>
    event.kind === "sample" && value in event.values
      ? { ...event, values: { ...event.values, [value]: event.values[value]! + by * count++ } }
      : event,
  );
}

test("a good history passes every rule, and each rule looks at something", () => {
  const verdicts = judge(tell());
  expect(verdicts.flatMap(({ wrong }) => wrong)).toEqual([]);
  const idle = verdicts.filter(({ checked }) => checked === 0).map(({ rule }) => rule);
  expect(idle).toEqual(["driverSawNothing"]);
});

test("zeros that a full disk has left before a mark hide none", () => {
  const events = tell().map((event) =>
    event.kind === "marks"
      ? { ...event, lines: event.lines.map((line, at) => (at === 0 ? `cut off\0\0${line}` : line)) }
      : event,
  );
  expect(judge(events).flatMap(({ wrong }) => wrong)).toEqual([]);
});

test("a restored gateway may tell a run as its copy has it until it has heard its host twice, and a look longer", () => {
  const refused = (...heardAt: number[]) => judge(restoredAndTold(...heardAt)(tell())).flatMap(({ wrong }) => wrong);
  expect(refused()).toEqual([]);
  expect(refused(1_030_000)).toEqual([]);
  expect(refused(1_010_000, 1_030_000)).toEqual([]);
  expect(refused(1_030_000, 1_055_000)).toEqual([]);
});

test("who lived on a host that was removed may live on another before its container there has ended", () => {
  const events = elsewhere(tell());
  const removed = after("deed", { at: 1_000_001, kind: "deed", deed: "host removed", host: "h0" });
  const refused = judge(removed(events)).flatMap(({ rule, wrong }) => (rule === "oneContainerAUser" ? wrong : []));
  expect(refused).toEqual([]);
});

test("a log that is nowhere is none where its agent was deleted", () => {
  const gone = without("files", ({ run }) => run === "r1")(tell());
  const call = { kind: "call", call: 9, by: "u1", method: "DELETE", path: "/v1/agents/a-u1" };
  const refused = judge(after("call", call)(gone)).flatMap(({ rule, wrong }) =>
    rule.startsWith("reader") ? wrong : [],
  );
  expect(refused).toEqual([]);
});

test("while a host's reports are not answered the gateway may tell a run as it was, and no longer", () => {
  const answeredAt = Date.parse("2026-11-28T20:01:00Z");
  const said = (seconds: number, event: string) => {
    const line = JSON.stringify({ at: new Date(answeredAt + seconds * 1000).toISOString(), event });
    return { kind: "log", by: "h1", line };
  };
  const refused = (...lines: object[]) => {
    const back = { at: answeredAt, kind: "told", by: "get", run: { ...run("r1", "a-u1", "", "", 0, 2), ...open } };
    const events = [...tell(), back, ...lines] as HistoryEvent[];
    return judge(events).flatMap(({ rule, wrong }) => (rule === "endNeverChanges" ? wrong : []));
  };
  expect(refused(said(-10, "report.failed"), said(10, "gateway.reached"))).toEqual([]);
  expect(refused(said(-20, "report.failed"), said(-10, "gateway.reached"))).toHaveLength(1);
  expect(refused()).toHaveLength(1);
});

const cases = Object.entries(bad).flatMap(([rule, histories]) =>
  Object.entries(histories).map(([title, [change, says]]) => ({ rule, title, change, says })),
);
test.each(cases)("$title: refused by $rule alone, with a sentence", ({ rule, change, says }) => {
  const refusing = judge(change(tell())).filter(({ wrong }) => wrong.length > 0);
  expect(refusing.map((verdict) => verdict.rule)).toEqual([rule]);
  expect(refusing[0]!.wrong[0]).toMatch(says);
});

test("every rule is a sentence", () => {
  for (const { says } of Object.values(rules)) expect(says).toMatch(/^[a-z][^.]+$/);
});
