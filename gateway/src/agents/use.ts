/** What runs have cost, by day: sums that triggers of the database keep (migrations/0017_use.sql) and that outlive their runs. A run counts on the day (UTC) on which it was sent. */
import { type AllUse, settingsFor, type Use } from "@berth/shared/users";
import type { Settings } from "@berth/shared/settings";
import { sql } from "drizzle-orm";
import { z } from "zod";
import type { Caller } from "../http/caller.ts";
import { digits } from "../http/paging.ts";
import { isoTime, type Database } from "../data/database.ts";

export const useQuery = z.object({ days: digits(z.number().int().min(1).max(366).default(30)) });

const dayMs = 24 * 3_600_000;
const dayOf = (ms: number) => isoTime(ms).slice(0, 10);
const sums = sql`sum(runs) as runs, sum(tokens) as tokens, sum(cost_usd) as "costUsd"`;

/** The user's use in the last so many days, and what is left of today's budget. */
export async function readUse(
  { db, now, settings }: { db: Database; now: () => number; settings: Settings },
  { id: userId, limits }: Pick<Caller["user"], "id" | "limits">,
  days: number,
): Promise<Use> {
  const since = dayOf(now() - (days - 1) * dayMs);
  const own = sql`from daily_use u where u.user_id = ${userId} and u.day >= ${since}`;
  const byDay = await db.all<Use["days"][number]>(sql`select day, ${sums} ${own} group by day order by day`);
  const byAgent = await db.all<Use["agents"][number]>(sql`select agent_id as "agentId",
    (select name from agents a where a.id = agent_id) as name, ${sums} ${own} group by agent_id order by sum(cost_usd) desc, agent_id limit 200`);
  const { BERTH_RUN_BUDGET_USD: runUsd = null, BERTH_DAILY_BUDGET_USD: dailyUsd = null } = settingsFor(
    settings,
    limits,
  );
  const today = byDay.find(({ day }) => day === dayOf(now()))?.costUsd ?? 0;
  const leftTodayUsd = dailyUsd === null ? null : Math.max(0, dailyUsd - today);
  return { since, days: byDay, agents: byAgent, budget: { runUsd, dailyUsd, leftTodayUsd } };
}

/** Everybody's use in the last so many days. */
export async function readAllUse({ db, now }: { db: Database; now: () => number }, days: number): Promise<AllUse> {
  const since = dayOf(now() - (days - 1) * dayMs);
  const all = sql`from daily_use indexed by daily_use_day where day >= ${since}`;
  const byDay = await db.all<AllUse["days"][number]>(sql`select day, ${sums} ${all} group by day order by day`);
  const byUser = await db.all<AllUse["users"][number]>(
    sql`select user_id as "userId", ${sums} ${all} group by user_id order by sum(cost_usd) desc, user_id limit 1000`,
  );
  return { since, days: byDay, users: byUser };
}
