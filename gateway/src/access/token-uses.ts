/** When tokens were last used: noted in memory and stored together, so that all who call share one commit. */
import { sql } from "drizzle-orm";
import { isoTime } from "../data/database.ts";
import { jsonRows } from "../data/json-rows.ts";
import type { Deps } from "../deps.ts";

const minuteMs = 60_000;
/** For no longer does a gateway wait for it that is to end. */
export const usesMs = 1000;

/** Notes the use at most once a minute; the next tick stores it. Where processes come and go, it is stored at once. */
export function noteUse(deps: Deps, tokenId: string, lastUsedAt: string | null): void {
  if (lastUsedAt !== null && Date.parse(lastUsedAt) > deps.now() - minuteMs) return;
  deps.uses.set(tokenId, isoTime(deps.now()));
  deps.background?.(storeUses(deps));
}

/** Stores what was noted. A failure loses it: that is told, and nobody waits for it. */
export async function storeUses({ atomic, uses, log }: Deps): Promise<void> {
  if (uses.size === 0) return;
  const noted = jsonRows([...uses].map(([id, at]) => ({ id, at })));
  uses.clear();
  const store = sql`
    update tokens set last_used_at = json_extract(j.value, '$.at') from ${noted} j
    where tokens.id = json_extract(j.value, '$.id')`;
  await atomic([store]).catch(() => log.warn("token.use_not_noted"));
}
