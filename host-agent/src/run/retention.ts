/** Removes what is older than `BERTH_RETENTION_DAYS`: ended runs, with their logs. */
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
}

/** One look at all there is. What a volume that cannot be used now holds is left for the next one, and holds nothing else up. */
export async function removeExpired(deps: RetentionDeps): Promise<void> {
  const { context, store, volumes } = deps;
  const before = new Date(context.clock.now() - context.settings.BERTH_RETENTION_DAYS * 86_400_000);
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
    for (const { id, userId } of runs)
      await attempt(userId, async () => {
        if (volumes.exists(userId)) await removeRunFiles(await volumes.ensure(userId), id);
        store.removeRun(id);
      });
  }
  for (const userId of await volumes.mounted()) await attempt(userId, () => removeUnknown(deps, userId, before));
}

/** Files of runs that only an earlier database of this host knew: they count against their user's disk. */
async function removeUnknown({ store, volumes }: RetentionDeps, userId: string, before: Date): Promise<void> {
  const volume = await volumes.ensure(userId);
  for (const name of await readdir(volume.runs)) {
    const isOld = (await lstat(join(volume.runs, name))).mtime < before;
    if (isOld && !store.getRun(name)) await removeRunFiles(volume, name);
  }
}
