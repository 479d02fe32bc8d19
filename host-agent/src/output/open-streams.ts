/**
 * The long streams and sockets that are open, each held against the credential it was opened with: closed when that is
 * revoked or expires, and when the gateway has not vouched for it for 10 s.
 */
import type { HostClaims } from "@berth/shared/host-api";
import type { Clock } from "../context/clock.ts";

/** Why a stream is closed: its credential is gone, nobody vouches for it, or this process ends. */
export type CloseCause = "revoked" | "unvouched" | "closing";
export type Streams = ReturnType<typeof createStreams>;

export function createStreams(clock: Clock) {
  const open = new Map<(cause: CloseCause) => void, HostClaims>();
  const closeWhere = (cause: CloseCause, matches: (claims: HostClaims) => boolean) => {
    for (const [close, claims] of open) if (matches(claims)) close(cause);
  };
  return {
    /** Registers an open stream; the answer unregisters it. */
    add(claims: HostClaims, close: (cause: CloseCause) => void): () => void {
      open.set(close, claims);
      return () => void open.delete(close);
    },
    closeExpired: () => closeWhere("revoked", ({ texp }) => texp * 1000 <= clock.now()),
    closeRevoked: (tokens: ReadonlySet<string>, users: ReadonlySet<string>) =>
      closeWhere("revoked", ({ tid, sub }) => users.has(sub) || (tid !== null && tokens.has(tid))),
    closeAll: (cause: CloseCause) => closeWhere(cause, () => true),
    count: () => open.size,
  };
}
