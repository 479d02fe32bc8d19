/** A run that is admitted, written down with what it was given and the token that its processes show. */
import { randomText } from "@berth/shared/ids";
import { type NewRun, places } from "./rows.ts";
import type { Sealing } from "./sealing.ts";
import { isoTime, type Statements } from "./statements.ts";

export function insertRun(db: Statements, sealing: Sealing, run: NewRun, rev: number, nowMs: number): void {
  const { id, agentId, userId, trigger, attachments = [], continues = null } = run;
  const token = sealing.seal(places.token(id), `brt_${randomText(40)}`);
  db.sql(
    `INSERT INTO runs (id, agent_id, user_id, rev, first_rev, status, trigger_kind, trigger_id, attachments, continues, token, created_at)
     VALUES (?, ?, ?, ?, ?, 'starting', ?, ?, ?, ?, ?, ?)`,
  ).run(
    id,
    agentId,
    userId,
    rev,
    rev,
    trigger.kind,
    trigger.triggerId,
    JSON.stringify(attachments),
    continues,
    token,
    isoTime(nowMs),
  );
  const payload = run.payload === null ? null : sealing.seal(places.payload(id), run.payload);
  db.sql("INSERT INTO run_inputs VALUES (?, ?, ?)").run(id, run.prompt, payload);
}
