/** Uids once for each database: a new one, or one that was lost and made anew, knows nothing of those that the volumes have. */
import type { Log } from "@berth/shared/log";
import type { Store } from "../store/store.ts";
import type { Volumes } from "./volumes.ts";

/** Beyond what any host has given: a volume that cannot be read may have whatever was given before. */
const unknownUids = 1_000_000;

/**
 * At each start what is noted beside the database, which may be an older copy. For a new one all volumes are looked at, once, as a step
 * that is stored: one that is cut short, or whose process dies, is done by the next start.
 */
export async function reserveUids(
  store: Store,
  volumes: Pick<Volumes, "readOwners" | "highestKept">,
  log: Log,
): Promise<void> {
  store.reserveUids((await volumes.highestKept()) + 1);
  if (store.getMeta("uids_reserved") !== undefined) return;
  const unread = await volumes.readOwners();
  if (unread.length > 0) {
    log.error("uids.unknown", { userIds: unread.join(" ") });
    store.reserveUids(store.nextUid() + unknownUids);
  }
  store.setMeta("uids_reserved", "1");
}
