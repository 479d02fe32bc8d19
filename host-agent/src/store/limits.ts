/** The users' own limits, as the gateway told them last: a run that goes on by itself, or that a webhook starts, goes by them too; and who met one. */
import { type HostClaims, limitReasons } from "@berth/shared/host-api";
import type { Settings } from "@berth/shared/settings";
import { type OwnLimits, settingsFor } from "@berth/shared/users";
import type { OpenDatabase } from "./open.ts";
import { isoTime, Statements } from "./statements.ts";
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

interface EndAtLimit {
  userId: string;
  reason: (typeof limitReasons)[number];
  endedAt: string;
}

/** Runs that ended at a limit after that time (in milliseconds since 1970), oldest first; of very many the last ones. */
export function endsAtLimits({ db }: OpenDatabase, after: number): EndAtLimit[] {
  const isLimit = limitReasons.map((reason) => `'${reason}'`).join(", ");
  const statement = `SELECT user_id AS userId, reason, ended_at AS endedAt FROM runs
    WHERE ended_at > ? AND reason IN (${isLimit}) ORDER BY ended_at DESC LIMIT 10000`;
  return new Statements({ db }).rows<EndAtLimit>(statement, isoTime(after)).toReversed();
}
