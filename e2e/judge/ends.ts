/** Rules about how runs end: each has one end that never changes, and each reason has its own evidence in the history. */
import type { EventOf, ToldRun } from "./events.ts";
import { type History, lifeOf, nameOf, type Placed, type RunStory } from "./history.ts";
import {
  callsTo,
  deedsTo,
  doubled,
  endedRunsOf,
  excused,
  isDeleted,
  isForgotten,
  lookMs,
  metFullDisk,
  ofEach,
  type Rule,
  runsOf,
} from "./rule.ts";

const endOf = (run: ToldRun) => `${run.status}, ${run.reason}, exit code ${run.exitCode}, ${run.logBytes} bytes`;

const acceptedRunEnds: Rule = {
  says: "an accepted run is listed, and ends",
  judge: ofEach(runsOf, (run, { all }) => {
    const listed = all("listed").flatMap(({ runs }) => runs.filter(({ id }) => id === run.id));
    if (listed.length === 0) return `${nameOf(run)} was accepted and is listed nowhere`;
    return listed[0]!.endedAt === null ? `${nameOf(run)} has no end: ${listed[0]!.status}` : null;
  }),
};

const nobodyAsked: Rule = {
  says: "no run is there that nobody asked for",
  judge(history) {
    const there = [
      ...history
        .all("listed")
        .flatMap(({ user, runs }) => runs.map(({ id }) => ({ id, where: `the list of ${user}` }))),
      ...history.all("row").map(({ run, database }) => ({ id: run.id, where: database })),
      ...history.all("files").map(({ run, host }) => ({ id: run, where: `the files of ${host}` })),
      ...history.marks.map(({ run, host }) => ({ id: run, where: `the marks on ${host}` })),
    ];
    const strays = there.filter(({ id }) => !history.runs.has(id)).map(({ id, where }) => `${where}: ${id}`);
    return { checked: there.length, wrong: [...new Set(strays)].map((stray) => `nobody asked for a run in ${stray}`) };
  },
};

const keyIsOneRun: Rule = {
  says: "a key is the same run however often its message is sent",
  judge(history) {
    const byKey = Map.groupBy(history.all("accepted"), ({ key }) => key);
    const wrong = [...byKey].flatMap(([key, accepted]) => {
      const runs = new Set(accepted.map(({ run }) => run));
      return runs.size > 1 ? [`${key} was accepted as ${[...runs].join(" and as ")}`] : [];
    });
    return { checked: byKey.size, wrong };
  },
};

const endNeverChanges: Rule = {
  says: "an end never changes, and an ended run goes on for nobody",
  judge: ofEach(runsOf, (run, history) => {
    const ends = new Set(run.told.filter(({ run }) => run.endedAt !== null).map(({ run }) => endOf(run)));
    if (ends.size > 1) return `${nameOf(run)} ended ${[...ends].join(", and ")}`;
    const back = run.told.find(
      ({ run: now, at }) =>
        now.endedAt === null &&
        run.end &&
        at > run.end.at + lookMs &&
        !isAsOldAsItsCopy(history, run, at) &&
        !isUnheard(history, run, at),
    );
    return back ? `${nameOf(run)} had ended and was told as ${back.run.status} to ${back.by} afterwards` : null;
  }),
};

/**
 * Whether the gateway was away, or it or the run's host was restored, since the run had ended and a look ago had not yet heard what the
 * host knows: by its answer to the first report it asks for all, and has it with the next.
 */
function isAsOldAsItsCopy({ all }: History, { hosts, end }: RunStory, at: number): boolean {
  const away = [
    ...all("deed").filter(
      ({ deed, host }) => deed === "gateway restored" || (deed === "host database restored" && hosts.includes(host)),
    ),
    ...all("ended").filter(({ daemon }) => daemon === "gateway"),
  ].filter((away) => away.at > end!.at - lookMs && away.at < at);
  if (away.length === 0) return false;
  const since = Math.max(...away.map((last) => last.at));
  const heard = all("heard").filter((word) => word.at > since && word.at < at - lookMs);
  const ofHost = (name: string) => heard.filter(({ host }) => host === name).length;
  return hosts.length === 0 ? heard.length < 2 : hosts.some((name) => ofHost(name) < 2);
}

/** Whether the gateway answered no report of the run's host just then: what it tells is as old as the last one. */
function isUnheard({ all }: History, { hosts }: RunStory, at: number): boolean {
  const said = all("log").flatMap(({ by, line }) => {
    if (!hosts.includes(by) || !/"event":"(report\.failed|gateway\.reached)"/.test(line)) return [];
    return { by, isFailure: line.includes("report.failed"), at: Date.parse((JSON.parse(line) as { at: string }).at) };
  });
  return hosts.some((host) => said.findLast((word) => word.by === host && word.at <= at)?.isFailure);
}

const databasesAgree: Rule = {
  says: "gateway and host have the same end of a run",
  judge: ofEach(runsOf, (run, history) => {
    const copy = run.rows.find(({ host }) => host === null)?.run;
    if (!copy) return isForgotten(history, run) ? excused : `${nameOf(run)} is not in the gateway's database`;
    if (copy.reason === "host_lost") return null;
    return (
      run.rows
        .filter(({ host, database }) => host !== null && database.endsWith("host.db"))
        // A host that was removed before it had answered ends for itself what has begun elsewhere since.
        .filter(({ host }) => run.hosts.length === 1 || !wasRemoved(history, host!, run))
        .filter(({ run: truth }) => endOf(truth) !== endOf(copy))
        .map(
          ({ host, run: truth }) => `${nameOf(run)} ended for ${host} ${endOf(truth)}, for the gateway ${endOf(copy)}`,
        )
    );
  }),
};

const wasRemoved = (history: History, name: string, run: RunStory) =>
  history.all("deed").some(({ deed, host, at }) => deed === "host removed" && host === name && at >= run.asked.at);

/** What the wrapper wrote last; null when it never came to that. */
function codeIn({ exit }: EventOf<"files">): number | null {
  const text = exit === null ? "" : Buffer.from(exit, "base64").toString("latin1");
  const code = /^(\d{1,3})\n/m.exec(text)?.[1];
  return code === undefined ? null : Number(code);
}
/** Ended by somebody's wish while its program may still have said a last code. */
const byIntent = new Set(["cancelled", "timed_out", "log_limit", "budget_reached", "start_timeout"]);

const exitIsTold: Rule = {
  says: "the told exit code is the one in the run's exit file",
  judge: ofEach(endedRunsOf, (run, history) => {
    const told = run.end!.run;
    // Its disk kept nothing, or its host is another's now.
    if (told.reason === "host_lost" || metFullDisk(history, run)) return excused;
    const codes = run.files.map(codeIn).filter((code) => code !== null);
    const code = codes.at(-1) ?? null;
    if (code === told.exitCode) {
      const isCompleted = told.reason === "completed";
      if (told.reason === "container_lost" && code !== null && code < 128)
        return `${nameOf(run)} is told as container_lost, and its exit file says ${code}`;
      return isCompleted && code !== 0 ? `${nameOf(run)} is told as completed with exit code ${code}` : null;
    }
    if (run.files.length === 0) return isForgotten(history, run) ? excused : `${nameOf(run)} has no files on any host`;
    // Told to end, or dying with its container, it may have said its code after the last look.
    const isLate =
      told.exitCode === null && (byIntent.has(told.reason!) || (told.reason === "container_lost" && code! >= 128));
    return isLate ? null : `${nameOf(run)} is told with exit code ${told.exitCode}, and its exit file says ${code}`;
  }),
};

const endIsThePrograms: Rule = {
  says: "a run that ended by itself ended as its program does, and its program wrote that it did",
  judge: ofEach(endedRunsOf, (run, history) => {
    const { reason, exitCode } = run.end!.run;
    const { program, agent } = run.asked;
    if (!program || !["completed", "nonzero_exit"].includes(reason!)) return null;
    if (metFullDisk(history, run)) return excused;
    if (exitCode !== program.exitCode)
      return `${nameOf(run)} ended by itself with exit code ${exitCode}, and its program with ${program.exitCode}`;
    if (isDeleted(history, agent) || exitCode >= 128) return null;
    const said = run.marks.map(({ what }) => what);
    return said.includes("begin") && said.includes("end")
      ? null
      : `${nameOf(run)} is told as ${reason}, and its program never was at its end`;
  }),
};

/** The containers that the run's program was in by its own word, or by the host's database where it said none. */
function containersOf(run: RunStory, history: History): Set<string> {
  const inits = new Set(run.marks.map((mark: Placed) => mark.init));
  const named = history
    .all("container")
    .filter(({ init }) => inits.has(init))
    .map(({ container }) => container);
  return new Set(named.length > 0 ? named : run.rows.flatMap(({ container }) => container ?? []));
}

/** When containers died by what engine and kernel say, the earliest word of each. */
function deathsOf(history: History): { container: string; host: string; at: number }[] {
  const words = [
    ...history.all("container").filter(({ isAlive }) => !isAlive),
    ...history.all("engine").filter(({ action }) => action === "die" || action === "destroy"),
  ];
  return words.map(({ container, host, at }) => ({ container, host, at })).toSorted((one, other) => one.at - other.at);
}

function wasContainerLost(run: RunStory, history: History): string | null {
  const killed = deedsTo(history, run, ["containers killed"]);
  const failed = volumeFailures(run, history);
  if (killed.length === 0 && failed.length === 0) return "and nothing killed a container of its host in its life";
  const containers = containersOf(run, history);
  if (containers.size === 0) return null;
  const { from, to } = lifeOf(run);
  const deaths = deathsOf(history).filter(
    ({ container, at }) => containers.has(container) && at >= from - lookMs && at <= to + lookMs,
  );
  const names = [...containers].join(", ");
  if (deaths.length === 0) return `and neither engine nor kernel saw its container end in its life (${names})`;
  const hasCause = (at: number) =>
    killed.some((deed) => Math.abs(deed.at - at) <= lookMs) || failed.some((word) => word.at <= at + lookMs);
  return deaths.some(({ at }) => hasCause(at)) ? null : `and its container ended when nothing killed it (${names})`;
}

/** A disk that is full fails the volumes on it: to mend one, nobody may have it, so its container has to go. */
function volumeFailures(run: RunStory, history: History): EventOf<"kernel">[] {
  if (!metFullDisk(history, run)) return [];
  const { to } = lifeOf(run);
  return history.all("kernel").filter(({ text, at }) => volumeFailed.test(text) && at <= to + lookMs);
}
const volumeFailed = /EXT4-fs error|Aborting journal|Remounting filesystem read-only/;

function wasHostLost(run: RunStory, history: History): string | null {
  const lost = deedsTo(history, run, ["host removed", "host database lost", "host database restored"]);
  return lost.length > 0 ? null : "and its host was neither removed nor did it lose its database in the run's life";
}

function wasCancelled(run: RunStory, history: History): string | null {
  const { from, to } = lifeOf(run);
  const { user, agent } = run.asked;
  const disabled = callsTo(history, "PATCH", `/v1/admin/users/${user}`).filter(
    ({ body }) => (body as { cancelRuns?: boolean } | undefined)?.cancelRuns,
  );
  const asked = [
    ...callsTo(history, "POST", `/v1/runs/${run.id}/cancel`),
    ...callsTo(history, "POST", "/v1/workspace/stop").filter(({ by }) => by === user),
    ...callsTo(history, "DELETE", `/v1/agents/${agent}`),
    ...disabled,
  ];
  return asked.some(({ at, answeredAt }) => at <= to && answeredAt >= from - lookMs)
    ? null
    : "and nobody asked for that";
}

function wasOutOfMemory(run: RunStory, history: History): string | null {
  const { from, to } = lifeOf(run);
  const uids = history
    .all("agentRow")
    .filter(({ agent }) => agent === run.asked.agent)
    .map(({ uid }) => uid);
  const kills = history.all("kernel").filter(({ at }) => at >= from && at <= to + lookMs);
  const containers = [...containersOf(run, history)];
  const isOurs = (text: string) => containers.length === 0 || containers.some((id) => text.includes(id));
  return kills.some(({ text }) => isOurs(text) && uids.some((uid) => text.endsWith(`,uid=${uid}`)))
    ? null
    : "and the kernel killed no process of its agent in its life";
}

function hadTime(run: RunStory, ms: number): string | null {
  const begun = run.marks.find(({ what }) => what === "begin")?.at ?? run.asked.at;
  const { to } = lifeOf(run);
  // Each side rounds.
  return to - begun >= ms - 1000 ? null : `only ${Math.round(to - begun)} ms after it began`;
}

/** What must be in the history for a run to end so; a sentence about what is missing. Reasons that nothing here can bring about are not listed. */
const evidence: Record<string, (run: RunStory, history: History) => string | null> = {
  completed: () => null,
  nonzero_exit: () => null,
  container_lost: wasContainerLost,
  host_lost: wasHostLost,
  cancelled: wasCancelled,
  out_of_memory: wasOutOfMemory,
  disk_full: (run, history) => (metFullDisk(history, run) ? null : "and no disk of its host was full in its life"),
  timed_out: (run, { all }) => hadTime(run, all("campaign")[0]!.runTimeoutMs),
  start_timeout: (run) => hadTime(run, 60_000),
  log_limit: (run, { all }) =>
    run.end!.run.logBytes >= all("campaign")[0]!.logLimitBytes ? null : `with ${run.end!.run.logBytes} bytes of output`,
};

const endHasEvidence: Rule = {
  says: "a reason has its own evidence: deeds, calls, the engine's and the kernel's word, time",
  judge: ofEach(endedRunsOf, (run, history) => {
    const reason = run.end!.run.reason ?? "nothing";
    const missing = evidence[reason] ? evidence[reason](run, history) : "which nothing here brings about";
    return missing ? `${nameOf(run)} is told as ${reason}, ${missing}` : null;
  }),
};

const messageIsOneRun: Rule = {
  says: "a message, or a delivery, runs as one run",
  judge(history) {
    const asked = history.all("asked");
    const marks = Map.groupBy(history.marks, ({ key }) => key);
    const wrong = asked.flatMap(({ key, user }) => {
      const runs = new Set((marks.get(key) ?? []).map(({ run }) => run));
      return runs.size > 1 ? [`${key} of ${user} ran as ${[...runs].join(" and as ")}`] : [];
    });
    return { checked: asked.length, wrong };
  },
};

const listedOnce: Rule = {
  says: "a list names no run twice, and every agent that is there is idle",
  judge: ofEach(
    ({ all }) => all("listed"),
    ({ user, runs, agents }) => [
      ...doubled(runs.map(({ id }) => id)).map((id) => `the list of ${user} has ${id} twice`),
      ...agents
        .filter(({ status }) => status !== "idle")
        .map(({ id, status }) => `agent ${id} of ${user} is ${status}`),
    ],
  ),
};

export const endRules = {
  acceptedRunEnds,
  nobodyAsked,
  keyIsOneRun,
  endNeverChanges,
  databasesAgree,
  exitIsTold,
  endIsThePrograms,
  endHasEvidence,
  messageIsOneRun,
  listedOnce,
} satisfies Record<string, Rule>;
