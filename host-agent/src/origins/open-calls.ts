/** Calls under way: which credential each uses, so that they end with it, and how many a user's agents may have. */
import type { ServerResponse } from "node:http";
import { sleep } from "@berth/shared/wait";
import type { CredentialKind } from "../store/credentials.ts";

/** Calls of one user at once; each has a handshake of its own, and they begin this far apart. */
const maxCalls = 32;
const betweenMs = 10;

export function createOpenCalls() {
  /** How to end what is under way, by whose it is and which credential it uses. */
  const open = new Map<string, Set<() => void>>();
  const users = new Map<string, { calls: number; nextAt: number }>();
  const keyOf = (userId: string, kind: CredentialKind, name: string) => `${userId}/${kind}/${name}`;
  return {
    /** Pacing: true when the call's turn has come, false where too many are open. */
    async takeTurn(userId: string, res: ServerResponse): Promise<boolean> {
      const user = users.get(userId) ?? { calls: 0, nextAt: 0 };
      if (user.calls >= maxCalls) return false;
      users.set(userId, user);
      user.calls += 1;
      res.once("close", () => void (--user.calls === 0 && users.delete(userId)));
      const now = performance.now();
      user.nextAt = Math.max(now, user.nextAt + betweenMs);
      if (user.nextAt > now) await sleep(user.nextAt - now);
      return true;
    },
    /** `end` is called when the credential goes; the answer takes it back. */
    track(userId: string, kind: CredentialKind, name: string, end: () => void): () => void {
      const key = keyOf(userId, kind, name);
      const ends = open.get(key) ?? new Set();
      open.set(key, ends.add(end));
      return () => {
        ends.delete(end);
        if (ends.size === 0 && open.get(key) === ends) open.delete(key);
      };
    },
    /** Ends what is under way with this credential. */
    end(userId: string, kind: CredentialKind, name: string): void {
      for (const end of open.get(keyOf(userId, kind, name)) ?? []) end();
    },
  };
}
