/** How a host joins: the token an admin makes, the key it registers, and what of a host is refused. */
import { AppError } from "@berth/shared/errors";
import { protocolVersion, tellMismatch, type JoinBody } from "@berth/shared/host-api";
import { newId, randomText, sha256Hex } from "@berth/shared/ids";
import { isLoopback, type Settings } from "@berth/shared/settings";
import { sql } from "drizzle-orm";
import { auditChange } from "../access/audit.ts";
import type { AuditSource } from "../http/caller.ts";
import { isoTime } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import { notCalledYet } from "../hosts/call.ts";

const joinMs = 3_600_000;

/** Makes a join token: random text, stored by hash, good for one host within an hour. */
export async function createJoinToken(
  { atomic, now }: Pick<Deps, "atomic" | "now">,
  source: AuditSource,
): Promise<{ token: string; expiresAt: string }> {
  const token = randomText(40);
  const expiresAt = isoTime(now() + joinMs);
  await atomic([
    sql`insert into join_tokens (hash, created_at, expires_at)
      values (${await sha256Hex(token)}, ${isoTime(now())}, ${expiresAt})`,
    auditChange(now(), { ...source, action: "join_token.created" }),
  ]);
  return { token, expiresAt };
}

/** What to type on the new machine, which puts in its own address. */
export function joinCommand(settings: Settings, token: string): string {
  const url = settings.BERTH_ALLOW_HTTP_HOSTS
    ? "http://$(hostname -I | cut -d' ' -f1):8081"
    : "https://$(hostname -f):8081";
  return `BERTH_GATEWAY_URL=${settings.BERTH_PUBLIC_URL} BERTH_JOIN_TOKEN=${token} BERTH_HOST_URL=${url} npm run host`;
}

/**
 * Joins a host. The token is used up by the first key that shows it; the same key with the same token is the same
 * host, so that a host whose answer was lost can ask again. Throws `unauthenticated`, and `invalid_request` for a host
 * that this gateway could not use.
 */
export async function joinHost(deps: Deps, { address }: AuditSource, body: JoinBody): Promise<string> {
  const { settings, atomic, now } = deps;
  const refusal = whyUnusable(settings, body);
  if (refusal) throw new AppError("invalid_request", refusal);
  const { name, url, publicKey } = body;
  const [time, hash, hostId] = [isoTime(now()), await sha256Hex(body.token), newId("hst")];
  const actor = { kind: "host", id: hostId, name, tokenId: null } as const;
  const [used, made] = await atomic([
    sql`update join_tokens set used_at = ${time}, public_key = ${publicKey.x}, host_id = coalesce(host_id, ${hostId})
      where hash = ${hash} and expires_at > ${time} and (used_at is null or public_key = ${publicKey.x})
      returning host_id as id`,
    sql`insert into hosts (id, name, url, public_key, created_at, unreached)
      select host_id, ${name}, ${url}, ${JSON.stringify(publicKey)}, ${time}, ${notCalledYet} from join_tokens
      where hash = ${hash} and expires_at > ${time} and public_key = ${publicKey.x} on conflict do nothing returning id`,
    auditChange(now(), { actor, address, action: "host.joined", target: { id: hostId, name } }),
  ]);
  if (!used?.[0]) throw new AppError("unauthenticated", "The join token is wrong, expired or used already.");
  if (made?.[0]) deps.log.info("host.joined", { hostId, name });
  return used[0]["id"] as string;
}

/** Why a host that says this of itself cannot be used, in one sentence; null where it can. */
export function whyUnusable(settings: Settings, { protocol, url }: { protocol: number; url?: string }): string | null {
  const mismatch = tellMismatch(protocol, protocolVersion);
  if (mismatch !== null) return mismatch;
  if (url === undefined || settings.BERTH_ALLOW_HTTP_HOSTS || !isOpenWire(url)) return null;
  return "The host is called by plain http beyond this machine: give it a certificate (BERTH_HOST_TLS_CERT) and an https BERTH_HOST_URL, or set BERTH_ALLOW_HTTP_HOSTS=1 at the gateway.";
}

/** Whether calls to this address go unencrypted over a network. */
function isOpenWire(address: string): boolean {
  const { protocol, hostname } = new URL(address);
  return protocol === "http:" && !isLoopback(hostname);
}
