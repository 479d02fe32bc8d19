/** Removes what is older than `BERTH_RETENTION_DAYS`, ended runs with their logs, and tombstones that nobody needs any more. */
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "@berth/shared/log";
import type { HostContext } from "../context/context.ts";
import { removeRunFiles } from "./run-files.ts";
import type { Store } from "../store/store.ts";
import type { Volumes } from "../workspace/volumes.ts";

interface RetentionDeps {
  context: HostContext;
  store: Store;
  volumes: Volumes;
  /** The revision up to which the gateway holds all that there is. */
  heldRev(): number;
  /** What is left then is left for the next process. */
  closing: AbortSignal;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** What is caught up with in an hour after a time away: a day. */
const haste = 24;

/**
 * Up to when everything may go, where `asked` is what the clock makes of it, and `reached` how far it came last: a day beyond that for
 * each hour that has gone, so that a clock that is far ahead for a while makes nothing old, however often this process begins anew.
 * Null the first time, for there is nothing to hold the clock against.
 */
export function deletableUpTo(asked: number, reached: number | null, elapsedMs: number): number | null {
  return reached === null ? null : Math.min(asked, reached + haste * elapsedMs);
}

/** Looks as this process begins, and then each hour that it has lived, with what earlier ones have lived since their last look. */
export function createRetention(deps: RetentionDeps): () => Promise<void> {
  const { store } = deps;
  let [notedAt, isFirst] = [performance.now(), true];
  return async () => {
    const now = performance.now();
    const livedMs = Number(store.getMeta("lived") ?? 0) + now - notedAt;
    const isDue = isFirst || livedMs >= hourMs;
    [notedAt, isFirst] = [now, false];
    store.setMeta("lived", String(isDue ? 0 : livedMs));
    if (isDue) await removeExpired(deps, livedMs);
  };
}

/** One look at all there is, so long after the one before. What a volume that cannot be used now holds is left for the next one, and holds nothing else up. */
export async function removeExpired(deps: RetentionDeps, elapsedMs: number): Promise<void> {
  const { context, store, volumes, closing } = deps;
  if (!context.clock.isSure()) return;
  const asked = context.clock.now() - context.settings.BERTH_RETENTION_DAYS * dayMs;
  const upTo = deletableUpTo(asked, Number(store.getMeta("retained") ?? Number.NaN) || null, elapsedMs);
  store.setMeta("retained", String(upTo ?? asked));
  if (upTo === null) return;
  const before = new Date(upTo);
  store.forgetSpend(before);
  const failed = new Set<string>();
  const attempt = async (userId: string, remove: () => Promise<void>) => {
    if (failed.has(userId)) return;
    await remove().catch((error: unknown) => {
      failed.add(userId);
      context.log.warn("retention.failed", { userId, error: messageOf(error) });
    });
  };
  const expired = () => store.expiredRuns(before.toISOString(), [...failed]);
  for (let runs = expired(); runs.length > 0; runs = expired()) {
    for (const { id, userId } of runs) {
      // Each is a flush to the disk, which everybody waits for; and one without files waits for nothing else.
      await context.turns(userId);
      if (closing.aborted) return;
      await attempt(userId, async () => {
        if (volumes.exists(userId)) await removeRunFiles(await volumes.ensure(userId), id);
        store.removeRun(id);
      });
    }
  }
  for (const userId of await volumes.mounted()) await attempt(userId, () => removeUnknown(deps, userId, before));
  forgetTombstones(deps);
}

/** Those that the gateway holds since the pass before: a call that was on its way when an agent was deleted is over. */
function forgetTombstones({ store, heldRev }: RetentionDeps): void {
  store.forgetAgents(Math.min(heldRev(), Number(store.getMeta("tombstones_upto") ?? 0)));
  store.setMeta("tombstones_upto", String(store.revision()));
}

/** Files of runs that only an earlier database of this host knew: they count against their user's disk. */
async function removeUnknown({ store, volumes }: RetentionDeps, userId: string, before: Date): Promise<void> {
  const volume = await volumes.ensure(userId);
  for (const name of await readdir(volume.runs)) {
    const isOld = (await lstat(join(volume.runs, name))).mtime < before;
    if (isOld && !store.getRun(name)) await removeRunFiles(volume, name);
  }
}
