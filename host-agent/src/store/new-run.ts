/** A run that is admitted, written down with what it was given and the token that its processes show. */
import { randomText } from "@berth/shared/ids";
import { type NewRun, places } from "./rows.ts";
import type { Sealing } from "./sealing.ts";
import { isoTime, type Statements } from "./statements.ts";

export function insertRun(db: Statements, sealing: Sealing, run: NewRun, rev: number, nowMs: number): void {
  const { id, agentId, userId, trigger, attachments = [], continues = null } = run;
  const token = sealing.seal(places.token(id), `brt_${randomText(40)}`);
  db.insert("runs", {
    id,
    agent_id: agentId,
    user_id: userId,
    rev,
    first_rev: rev,
    status: "starting",
    trigger_kind: trigger.kind,
    trigger_id: trigger.triggerId,
    attachments: JSON.stringify(attachments),
    continues,
    token,
    created_at: isoTime(nowMs),
  });
  const payload = run.payload === null ? null : sealing.seal(places.payload(id), run.payload);
  db.insert("run_inputs", { run_id: id, prompt: run.prompt, payload });
}
