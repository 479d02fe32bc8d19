/** A trigger as those see it who bring something in for it, whoever they are. */
import { AppError } from "@berth/shared/errors";
import type { TriggerScheme } from "@berth/shared/webhooks";
import { and, eq, isNull, sql } from "drizzle-orm";
import { columnsOf, prepareOnce, type Database } from "../data/database.ts";
import { agents, users } from "../data/schema.ts";
import { triggers } from "../data/webhook-tables.ts";

/** What a delivery needs to know of its trigger. */
export interface OpenTrigger {
  id: string;
  userId: string;
  agentId: string;
  name: string;
  scheme: TriggerScheme;
  template: string;
}

/** The trigger, its secrets sealed. Throws `not_found`, also where its agent is deleted, its user disabled, or it is not `ofUser`. */
export async function openTrigger(db: Database, triggerId: string, ofUser?: string) {
  const row = await selectOpen(db).get({ triggerId });
  if (!row || (ofUser !== undefined && row.userId !== ofUser))
    throw new AppError("not_found", "There is no such trigger.");
  return row;
}

const secretColumns = ["secret", "previousSecret", "previousUntil"] as const;
const selectOpen = prepareOnce((db) =>
  db
    .select(columnsOf(triggers, "id", "userId", "agentId", "name", "scheme", "template", ...secretColumns))
    .from(triggers)
    .innerJoin(agents, eq(agents.id, triggers.agentId))
    .innerJoin(users, eq(users.id, triggers.userId))
    .where(and(eq(triggers.id, sql.placeholder("triggerId")), isNull(agents.deletedAt), eq(users.disabled, false)))
    .prepare(),
);
