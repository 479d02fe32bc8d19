/** How hosts and gateway have been in the last hour, by what reports say: a row for each host and minute, and no more than that. */
import type { ReportBody } from "@berth/shared/host-api";
import type { Health } from "@berth/shared/hosts";
import { sql, type SQL } from "drizzle-orm";
import { isoTime, type Database } from "../data/database.ts";

const minuteMs = 60_000;
const minutes = 60;
const minuteOf = (ms: number) => isoTime(Math.floor(ms / minuteMs) * minuteMs);

type Told = Pick<ReportBody, "answerMs"> & { load: ReportBody["load"] | null };

/** The statement that notes a report in its minute: the load as it was first, the slowest answer of all. */
export function noteMinute(hostId: string, { load, answerMs = null }: Told, now: number): SQL[] {
  if (!load) return [];
  const used = load.memoryTotalBytes - load.memoryAvailableBytes;
  return [
    sql`insert into host_minutes values (${hostId}, ${minuteOf(now)}, ${load.workspaces}, ${load.activeRuns}, ${used},
        ${load.diskAvailableBytes}, ${answerMs})
      on conflict (host_id, at) do update set answer_ms = excluded.answer_ms
        where excluded.answer_ms > coalesce(answer_ms, -1)`,
  ];
}

/** The last hour of one host, or of all together. */
export async function readHealth(db: Database, now: number, hostId: string | null): Promise<Health> {
  const [since, until] = [minuteOf(now - minutes * minuteMs), minuteOf(now)];
  const which = hostId === null ? sql`indexed by host_minutes_at where` : sql`where host_id = ${hostId} and`;
  const rows = await db.all<Health["minutes"][number]>(sql`
    select at, count(*) as hosts, sum(workspaces) as workspaces, sum(active_runs) as "activeRuns",
      sum(memory_used_bytes) as "memoryUsedBytes", sum(disk_available_bytes) as "diskAvailableBytes",
      max(answer_ms) as "answerMs"
    from host_minutes ${which} at >= ${since} and at < ${until} group by at order by at`);
  return { since, minutes: rows };
}
