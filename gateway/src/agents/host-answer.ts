/** What a host answers of one run: applied to the copy, and asked for where the copy may be older than what a reader was told. */
import { AppError } from "@berth/shared/errors";
import { runAnswer, type ReportedRun, type RunAnswer } from "@berth/shared/host-api";
import { isEnded, type Run } from "@berth/shared/resources";
import { and, eq, isNull, lt, sql } from "drizzle-orm";
import { isoTime, prepareOnce } from "../data/database.ts";
import { hosts, users } from "../data/schema.ts";
import type { Deps } from "../deps.ts";
import { callHostJson } from "../hosts/call.ts";
import type { HostTarget } from "../hosts/placement.ts";
import type { Caller } from "../http/caller.ts";
import { getRun, upsertRuns } from "./runs.ts";
import { runIsTold } from "./start-calls.ts";

/** A host reports every five seconds, every eight where the gateway is busy. */
const lateMs = 9000;
/** Whoever asks gets the copy where the host does not answer for so long. */
const patienceMs = 1000;

/** Applies a host's answer to the copy as a report would be, which tells the run again where a power cut takes it back; false where the host was removed meanwhile. */
export async function applyRunAnswer({ atomic }: Deps, host: HostTarget, { epoch, run }: RunAnswer): Promise<boolean> {
  const [placed] = await atomic(
    [
      sql`select id from users where id = ${run.userId} and host_id = ${host.id}`,
      ...upsertRuns(host.id, epoch, [run]),
      runIsTold(run.userId, run.id),
    ],
    "copy",
  );
  return placed!.length > 0;
}

/** The contract's run of what a host told and the prompt that is known here. */
export function publicRun({ userId: _user, rev: _rev, ...run }: ReportedRun & { prompt: string }): Run {
  const { attachments = [], continues = null, waitingFor = null } = run;
  return { ...run, attachments, continues, waitingFor };
}

/** The run of the copy; that of its host where it goes on and the host's reports are late: its readers may have been told its end. */
export async function asOfNow(deps: Deps, caller: Caller, run: Run): Promise<Run> {
  if (isEnded(run.status) || run.status === "pending") return run;
  const userId = caller.user.id;
  const host = await selectLateHost(deps.db).get({ userId, before: isoTime(deps.now() - lateMs) });
  if (!host) return run;
  const call = { method: "GET", path: `/v1/runs/${run.id}`, deadlineMs: patienceMs } as const;
  try {
    await applyRunAnswer(deps, host, await callHostJson(deps, host, caller, call, runAnswer));
  } catch (error) {
    if (error instanceof AppError) return run;
    throw error;
  }
  return getRun(deps.db, userId, run.id);
}

/** The user's host whose reports are late, unless calls do not get there either. */
const selectLateHost = prepareOnce((db) =>
  db
    .select({ id: hosts.id, url: hosts.url })
    .from(users)
    .innerJoin(hosts, eq(hosts.id, users.hostId))
    .where(
      and(
        eq(users.id, sql.placeholder("userId")),
        lt(hosts.lastReportAt, sql.placeholder("before")),
        isNull(hosts.unreached),
      ),
    )
    .prepare(),
);
