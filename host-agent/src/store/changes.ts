/** What changed in the host's database after a revision: what the gateway's copy is made of. */
import type { ReportedAgent, ReportedRun } from "@berth/shared/host-api";
import {
  agentColumns,
  agentFrom,
  type FlatAgent,
  type FlatRun,
  reported,
  reportedAgent,
  type RunInput,
  runColumns,
  runFrom,
} from "./rows.ts";
import type { Sealing } from "./sealing.ts";
import type { Statements } from "./statements.ts";

export interface Changes {
  runs: ReportedRun[];
  agents: ReportedAgent[];
  /** How far they reach. */
  rev: number;
}

/** Empty where there is no such run. */
export const promptOf = (db: Statements, runId: string) =>
  db.rows<RunInput>("SELECT prompt FROM run_inputs WHERE run_id = ?", runId)[0]?.prompt ?? "";

const most = { agents: 500, runs: 200 };

/** As `Store.changedSince`; `newest` is the newest revision given. */
export function changedSince(
  db: Statements,
  sealing: Sealing,
  after: number,
  maxBytes: number,
  newest: number,
): Changes {
  if (after >= newest) return { runs: [], agents: [], rev: newest };
  const agents = db
    .rows<FlatAgent>(`SELECT ${agentColumns} FROM agents WHERE rev > ? ORDER BY rev LIMIT ${most.agents}`, after)
    .map((row) => reportedAgent(agentFrom(row, sealing)!));
  const runs: ReportedRun[] = [];
  let bytes = 0;
  for (const { firstRev, ...row } of db.rows<FlatRun & { firstRev: number }>(
    `SELECT ${runColumns}, first_rev AS firstRev FROM runs WHERE rev > ? ORDER BY rev LIMIT ${most.runs}`,
    after,
  )) {
    const run = { ...reported(runFrom(row)!), ...(firstRev > after && { prompt: promptOf(db, row.id) }) };
    bytes += JSON.stringify(run).length;
    if (runs.length > 0 && bytes > maxBytes) break;
    runs.push(run);
  }
  const isWhole = db.sql("SELECT count(*) FROM runs WHERE rev > ?").pluck().get(after) === runs.length;
  const reach = Math.min(
    isWhole ? newest : runs.at(-1)!.rev,
    agents.length < most.agents ? newest : agents.at(-1)!.rev,
  );
  const within = ({ rev }: { rev: number }) => rev <= reach;
  return { runs: runs.filter(within), agents: agents.filter(within), rev: reach };
}
