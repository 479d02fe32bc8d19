/** The users' own limits, as the gateway told them last: a run that goes on by itself, or that a webhook starts, goes by them too. */
import type { HostClaims } from "@berth/shared/host-api";
import type { Settings } from "@berth/shared/settings";
import { type OwnLimits, settingsFor } from "@berth/shared/users";
import type { Store } from "./store.ts";

const ofWorkspace = ["BERTH_MEMORY_BYTES", "BERTH_CPUS", "BERTH_DISK_BYTES"] as const;

export type Limits = ReturnType<typeof createLimits>;

export function createLimits(store: Pick<Store, "getMeta" | "setMeta">, settings: Settings) {
  const keyOf = (userId: string) => `limits:${userId}`;
  const known = new Map<string, Settings>();
  const read = (userId: string) => settingsFor(settings, JSON.parse(store.getMeta(keyOf(userId)) ?? "{}") as OwnLimits);
  return {
    settingsOf(userId: string): Settings {
      let theirs = known.get(userId);
      if (!theirs) known.set(userId, (theirs = read(userId)));
      return theirs;
    },
    /** Takes what a call says; whether a workspace that is made now is another than before. */
    note({ sub, limits }: HostClaims): boolean {
      const told = limits && JSON.stringify(limits);
      if (!told || (store.getMeta(keyOf(sub)) ?? "{}") === told) return false;
      const before = this.settingsOf(sub);
      store.setMeta(keyOf(sub), told);
      known.delete(sub);
      return ofWorkspace.some((name) => before[name] !== this.settingsOf(sub)[name]);
    },
  };
}
