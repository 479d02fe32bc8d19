/** Who calls: what a request's credential stands for, and how the audit names it. Knows no credential and no database. */
import type { OwnLimits } from "@berth/shared/users";
import type { AuditEntry } from "@berth/shared/audit";

export interface Caller {
  user: {
    id: string;
    name: string;
    role: "user" | "admin";
    hostId: string | null;
    createdAt: string;
    gitName: string | null;
    gitEmail: string | null;
    limits: OwnLimits;
  };
  /** The credential itself: `provider` is a token of the OpenID provider, which has no id here. `expiresAt` in seconds since 1970. */
  token: { id: string; kind: "api" | "session"; expiresAt: number } | { id: null; kind: "provider"; expiresAt: number };
  /** A `set-cookie` line that renews the session, when it is due. */
  renewal: string | null;
}

export interface Authenticator {
  /** The caller of a request, by bearer token or cookie. Throws `unauthenticated`, or `forbidden` for a cookie from elsewhere. */
  fromRequest(request: Request, address?: string | null): Promise<Caller>;
  /** The same, and renews nothing: for who asks again and again whether the credential of one request still stands. */
  look(request: Request, address?: string | null): Promise<Caller>;
  /** The caller of a socket, by its ticket. */
  fromTicket(ticket: string): Promise<Caller>;
  /** The caller of a bare API token, as `POST /session` gets it. */
  fromToken(jwt: string): Promise<Caller>;
}

/** Who acts, and from which address. */
export type AuditSource = Pick<AuditEntry, "actor" | "address">;

/** The caller of a request from that address as the source of audit entries. */
export function sourceOf(address: string | null, caller: Pick<Caller, "user" | "token"> | null): AuditSource {
  if (!caller) return { actor: systemActor, address };
  const { user, token } = caller;
  const isToken = token.kind !== "session";
  return {
    actor: { kind: isToken ? "token" : "user", id: user.id, name: user.name, tokenId: isToken ? token.id : null },
    address,
  };
}

/** A person who acts by a session, or is just getting one. */
export function personOf(user: { id: string; name: string }): AuditEntry["actor"] {
  return { kind: "user", id: user.id, name: user.name, tokenId: null };
}

/** The gateway itself, or somebody who is not known. */
export const systemActor: AuditEntry["actor"] = { kind: "system", id: null, name: null, tokenId: null };
