/**
 * A registry of the long streams and sockets that are open, each with the credential it was opened with: closed when that
 * is revoked or expires, and when the gateway has been silent for 10 s.
 */
import { AppError } from "@berth/shared/errors";
import type { HostClaims } from "@berth/shared/host-api";
import type { Clock } from "../context/clock.ts";

/** Why a stream is closed: its credential is gone, nobody vouches for it, or this process ends. */
export type CloseCause = "revoked" | "unvouched" | "closing";
export type Streams = ReturnType<typeof createStreams>;

/** Of one user at once, on all of their pages and programs together. */
const mostOfUser = 100;

export function createStreams(clock: Clock) {
  const open = new Map<(cause: CloseCause) => void, HostClaims>();
  const closeWhere = (cause: CloseCause, matches: (claims: HostClaims) => boolean) => {
    for (const [close, claims] of open) if (matches(claims)) close(cause);
  };
  let isVouched = true;
  return {
    /** Whether the gateway has spoken lately. While it has not, all streams are closed, once, and new ones refused. */
    vouch(isNow: boolean): void {
      if (isVouched && !isNow) closeWhere("unvouched", () => true);
      isVouched = isNow;
    },
    /** Throws while nobody vouches; clients that were cut together come back apart (jitter), so that they cut nobody again. */
    refuseUnvouched(): void {
      if (isVouched) return;
      const retryAfter = 2 + Math.floor(Math.random() * 8);
      throw new AppError("host_unavailable", "The host has not heard from the gateway lately: try again.", {
        retryAfter,
      });
    },
    /** Throws where the user has as many as one may have. */
    refuseFull(userId: string): void {
      let count = 0;
      for (const { sub } of open.values()) if (sub === userId) count += 1;
      if (count < mostOfUser) return;
      const detail = `This user has ${mostOfUser} sockets and streams open already: close some of them.`;
      throw new AppError("rate_limited", detail, { limit: mostOfUser, retryAfter: 10 });
    },
    /** Registers an open stream; the answer unregisters it. Throws while nobody vouches, and as `refuseFull`. */
    add(claims: HostClaims, close: (cause: CloseCause) => void): () => void {
      this.refuseUnvouched();
      this.refuseFull(claims.sub);
      open.set(close, claims);
      return () => void open.delete(close);
    },
    closeExpired: () => closeWhere("revoked", ({ texp }) => texp * 1000 <= clock.now()),
    closeRevoked: (tokens: ReadonlySet<string>, users: ReadonlySet<string>) =>
      closeWhere("revoked", ({ tid, sub }) => users.has(sub) || (tid !== null && tokens.has(tid))),
    closeAll: () => closeWhere("closing", () => true),
    count: () => open.size,
  };
}
