/** How a host joins: the token an admin makes, the key it registers, and what of a host is refused. */
import { AppError } from "@berth/shared/errors";
import { protocolVersion, tellMismatch, type JoinBody } from "@berth/shared/host-api";
import { newId, randomText, sha256Hex } from "@berth/shared/ids";
import { isLoopback, type Settings } from "@berth/shared/settings";
import { and, eq, gt, isNull, or, sql } from "drizzle-orm";
import { isoTime, type Database } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import { hosts, joinTokens } from "../data/schema.ts";

const joinMs = 3_600_000;

/** Makes a join token: random text, stored by hash, good for one host within an hour. */
export async function createJoinToken(db: Database, now: number): Promise<{ token: string; expiresAt: string }> {
  const token = randomText(40);
  const expiresAt = isoTime(now + joinMs);
  await db.insert(joinTokens).values({ hash: await sha256Hex(token), createdAt: isoTime(now), expiresAt });
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
export async function joinHost({ db, settings, now }: Deps, body: JoinBody): Promise<string> {
  const refusal = whyUnusable(settings, body);
  if (refusal) throw new AppError("invalid_request", refusal);
  const isUsable = or(isNull(joinTokens.usedAt), eq(joinTokens.publicKey, body.publicKey.x));
  const [used] = await db
    .update(joinTokens)
    .set({
      usedAt: isoTime(now()),
      publicKey: body.publicKey.x,
      hostId: sql`coalesce(${joinTokens.hostId}, ${newId("hst")})`,
    })
    .where(and(eq(joinTokens.hash, await sha256Hex(body.token)), gt(joinTokens.expiresAt, isoTime(now())), isUsable))
    .returning({ hostId: joinTokens.hostId });
  if (!used?.hostId) throw new AppError("unauthenticated", "The join token is wrong, expired or used already.");
  const { name, url, publicKey } = body;
  await db
    .insert(hosts)
    .values({ id: used.hostId, name, url, publicKey, createdAt: isoTime(now()) })
    .onConflictDoNothing();
  return used.hostId;
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
