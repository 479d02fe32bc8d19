/**
 * Calls that ask a host for a run, noted durably while they are open: should the host be removed before it answers, nobody can know
 * whether the run began, and nothing of it may begin elsewhere. Of a run that waits `maybe_sent` says the same, once its call is over.
 */
import { AppError } from "@berth/shared/errors";
import { randomText } from "@berth/shared/ids";
import { sql, type SQL } from "drizzle-orm";
import { isoTime } from "../data/database.ts";
import type { Deps } from "../deps.ts";

/** Of one user at one host: one that answers nobody leaves a call open for each message. */
const mostOpen = 1000;

export interface StartCall {
  /** Of this call: the same message may be under way twice. */
  id: string;
  userId: string;
  runId: string;
}
export const newStartCall = (userId: string, runId: string): StartCall => ({ id: randomText(20), userId, runId });

/** Notes that the user's host is being asked by this message (a hash). Throws `no_host` where the user was taken from it, `rate_limited`. */
export async function noteStartCall(
  { atomic, now }: Deps,
  { id, userId, runId }: StartCall,
  hostId: string,
  asked: string,
): Promise<void> {
  const isFull = sql`(select count(*) from start_calls where user_id = ${userId} and host_id = ${hostId}) >= ${mostOpen}`;
  const [noted, full] = await atomic([
    sql`insert into start_calls (user_id, run_id, call_id, host_id, asked, asked_at)
      select id, ${runId}, ${id}, host_id, ${asked}, ${isoTime(now())}
      from users where id = ${userId} and host_id = ${hostId} and not ${isFull} returning call_id`,
    sql`select 1 where ${isFull}`,
  ]);
  if (noted?.[0]) return;
  if (!full?.[0]) throw new AppError("no_host", "The user's host was removed just now; try again.", { retryAfter: 1 });
  throw new AppError(
    "rate_limited",
    `The user's host has left ${mostOpen} messages without an answer; send this again later.`,
    {
      retryAfter: 3600,
    },
  );
}

/** What was asked of a host that was removed before it answered, and which: this very message, if it was among that; null mostly. */
export async function findLostCall(
  { db }: Deps,
  { userId, runId }: Pick<StartCall, "userId" | "runId">,
  asked: string,
): Promise<{ hostId: string; asked: string } | null> {
  const [lost] = await db.all<{ hostId: string; asked: string }>(sql`
    select s.host_id as "hostId", s.asked from start_calls s
    where s.user_id = ${userId} and s.run_id = ${runId} and ${isOfRemoved} order by s.asked = ${asked} desc limit 1`);
  return lost ?? null;
}

/** Of a call `s`: its host was removed. */
export const isOfRemoved = sql`exists (select 1 from hosts h where h.id = s.host_id and h.removed_at is not null)`;

/** The host has refused, or what it may have is noted elsewhere. */
export const callIsOver = ({ id, userId, runId }: StartCall): SQL =>
  sql`delete from start_calls where user_id = ${userId} and run_id = ${runId} and call_id = ${id}`;

/** It is over, and the host may have the run. However often the message is sent again, one such call of it is kept. */
export const callIsUncertain = ({ id, userId, runId }: StartCall): SQL =>
  sql`update or replace start_calls set call_id = asked where user_id = ${userId} and run_id = ${runId} and call_id = ${id}`;

/** The host has told of the run, and the copy has it. */
export const runIsTold = (userId: string, runId: string): SQL =>
  sql`delete from start_calls where user_id = ${userId} and run_id = ${runId}
    and exists (select 1 from runs r where r.id = ${runId} and r.status <> 'pending')`;
