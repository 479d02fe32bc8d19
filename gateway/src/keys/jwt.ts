/** Every JWT that Berth signs or accepts: user tokens, socket tickets, calls to hosts, reports of hosts. Knows no database. */
import { AppError } from "@berth/shared/errors";
import { type CallClaims, gatewayAudience, hostClaims, type HostClaims, type JoinBody } from "@berth/shared/host-api";
import { randomText } from "@berth/shared/ids";
import { id } from "@berth/shared/values";
import { base64url, decodeJwt, decodeProtectedHeader, importJWK, jwtVerify, type JWTPayload } from "jose";
import { z } from "zod";
import { algorithm, type Keyring } from "./keyring.ts";

const skewSeconds = 30;
const maxTokenLength = 8192;
/** Some 600 B each. */
const rememberedTokens = 10_000;
export const ticketSeconds = 30;

/** A verified user token; `expiresAt` in seconds since 1970. */
export interface TokenClaims {
  userId: string;
  tokenId: string;
  expiresAt: number;
}

/** Signs an API or session token; times in milliseconds since 1970. */
export function signToken(keyring: Keyring, issuer: string, claims: TokenClaims, now: number): Promise<string> {
  return sign(
    keyring,
    "at+jwt",
    { iss: issuer, aud: "berth", sub: claims.userId, jti: claims.tokenId },
    now,
    claims.expiresAt,
  );
}

/** Makes a verifier that remembers the last verified tokens, each until it expires. Throws `unauthenticated`. */
export function createTokenVerifier(
  keyring: Keyring,
  issuer: string,
): (jwt: string, now: number) => Promise<TokenClaims> {
  const known = new Map<string, TokenClaims>();
  let knownOf = keyring.publicKeys;
  return async (jwt, now) => {
    // A key that was retired ends what it has signed, also what was verified before.
    if (knownOf !== keyring.publicKeys) known.clear();
    knownOf = keyring.publicKeys;
    let claims = known.get(jwt);
    if (claims) known.delete(jwt);
    else claims = tokenClaims(await verifyOwn(keyring, jwt, { issuer, audience: "berth", typ: "at+jwt", now }));
    if (claims.expiresAt * 1000 <= now) throw unauthenticated();
    known.set(jwt, claims);
    if (known.size > rememberedTokens) known.delete(known.keys().next().value!);
    return claims;
  };
}

const ticketClaims = hostClaims.extend({ jti: id });
type Ticket = z.infer<typeof ticketClaims> & { iat: number; exp: number };
const rememberedTickets = 1000;
/**
 * Tickets that were signed here and not shown yet, by issuer and text and for as long as the keys stay: nobody can make such a text, so
 * that it is not verified.
 */
const signedOf = new WeakMap<Keyring["publicKeys"], Map<string, Ticket>>();

/** Signs a socket ticket: `ticketSeconds`, once, speaks for the credential that asked for it. */
export async function signTicket(keyring: Keyring, issuer: string, claims: HostClaims, now: number): Promise<string> {
  const iat = Math.floor(now / 1000);
  const ticket = { jti: randomText(20), ...claims, iat, exp: iat + ticketSeconds };
  const signed = signedOf.get(keyring.publicKeys) ?? new Map<string, Ticket>();
  signedOf.set(keyring.publicKeys, signed);
  const jwt = await sign(keyring, "berth-ticket+jwt", { iss: issuer, aud: "berth:ticket", ...ticket }, now, ticket.exp);
  signed.set(`${issuer} ${jwt}`, ticket);
  if (signed.size > rememberedTickets) signed.delete(signed.keys().next().value!);
  return jwt;
}

/** The claims of a ticket; no token id where a credential of the OpenID provider asked for it. Throws `unauthenticated`. */
export async function verifyTicket(
  keyring: Keyring,
  issuer: string,
  jwt: string,
  now: number,
): Promise<Omit<TokenClaims, "tokenId"> & { ticketId: string; tokenId: string | null }> {
  const ticket = takeSigned(keyring, `${issuer} ${jwt}`, now) ?? (await verifyShown(keyring, issuer, jwt, now));
  if (ticket.texp * 1000 <= now) throw unauthenticated();
  return { ticketId: ticket.jti, userId: ticket.sub, tokenId: ticket.tid, expiresAt: ticket.texp };
}

/** A ticket of this process's own, once; one that is shown again is verified, and found to have been used. */
function takeSigned({ publicKeys }: Keyring, shown: string, now: number): Ticket | undefined {
  const signed = signedOf.get(publicKeys);
  const ticket = signed?.get(shown);
  signed?.delete(shown);
  return ticket && isInTime(ticket, now) ? ticket : undefined;
}

async function verifyShown(keyring: Keyring, issuer: string, jwt: string, now: number) {
  const payload = await verifyOwn(keyring, jwt, { issuer, audience: "berth:ticket", typ: "berth-ticket+jwt", now });
  const claims = ticketClaims.safeParse(payload);
  if (!claims.success) throw unauthenticated();
  return claims.data;
}

/** Signs what a browser keeps while its person is at the OpenID provider: 10 minutes. */
export function signAttempt(
  keyring: Keyring,
  issuer: string,
  attempt: { state: string; nonce: string; verifier: string },
  now: number,
): Promise<string> {
  const claims = { iss: issuer, aud: "berth:sign-in", sub: "sign-in", ...attempt };
  return sign(keyring, "berth-sign-in+jwt", claims, now, Math.floor(now / 1000) + 600);
}

/** The claims of a sign-in attempt. Throws `unauthenticated`. */
export function verifyAttempt(keyring: Keyring, issuer: string, jwt: string, now: number): Promise<JWTPayload> {
  return verifyOwn(keyring, jwt, { issuer, audience: "berth:sign-in", typ: "berth-sign-in+jwt", now });
}

/** With the skew that a host allows, nobody uses it after 60 s. */
const callSeconds = 30;

/** Signs the credential of one call to a host. Its issuer is no address: a change of the public URL loses no host. */
export function signHostCall(
  keyring: Keyring,
  hostId: string,
  claims: Omit<CallClaims, "jti">,
  now: number,
): Promise<string> {
  return sign(
    keyring,
    "berth-call+jwt",
    { iss: gatewayAudience, aud: hostId, jti: randomText(20), ...claims },
    now,
    Math.floor(now / 1000) + callSeconds,
  );
}

/** The host id that a report's JWT claims, before anything of it is verified; null where there is none. */
export function claimedHostId(jwt: string): string | null {
  try {
    return id.parse(decodeJwt(jwt).iss);
  } catch {
    return null;
  }
}

/** Of hosts' JWTs, which each shows for some seconds: when those end that were verified last, by the key and the JWT. */
const verifiedOf = new WeakMap<Keyring, Map<string, number>>();

/** Holds a report's JWT against the key that the host registered: at most 60 s, `iss` = `sub` = the host. Throws `unauthenticated`. */
export async function verifyHostJwt(
  keyring: Keyring,
  { id: hostId, publicKey }: { id: string; publicKey: JoinBody["publicKey"] },
  jwt: string,
  now: number,
): Promise<void> {
  const verified = verifiedOf.get(keyring) ?? new Map<string, number>();
  verifiedOf.set(keyring, verified);
  const shown = `${hostId} ${publicKey.x} ${jwt}`;
  const isInTime = (endsAt: number) => endsAt > now && endsAt <= now + (60 + skewSeconds) * 1000;
  if (isInTime(verified.get(shown) ?? 0)) return;
  const key = await importJWK(publicKey, algorithm);
  const payload = await verify(jwt, key, { issuer: hostId, audience: gatewayAudience, typ: "berth-host+jwt", now });
  if (payload.sub !== hostId || !isInTime(payload.exp! * 1000)) throw unauthenticated();
  verified.set(shown, payload.exp! * 1000);
  if (verified.size > rememberedTokens) verified.delete(verified.keys().next().value!);
}

/** The one answer to every credential that is not accepted: it does not say which check failed. */
export function unauthenticated(): AppError {
  return new AppError("unauthenticated", "The credential is missing, wrong, expired or revoked.");
}

interface Expected {
  issuer: string;
  audience: string;
  typ: string;
  now: number;
}

const ownClaims = z.object({ sub: id, jti: id, exp: z.number() });

function tokenClaims(payload: JWTPayload): TokenClaims {
  const parsed = ownClaims.safeParse(payload);
  if (!parsed.success) throw unauthenticated();
  return { userId: parsed.data.sub, tokenId: parsed.data.jti, expiresAt: parsed.data.exp };
}

async function verifyOwn(keyring: Keyring, jwt: string, expected: Expected): Promise<JWTPayload> {
  const key = keyring.publicKeys.get(headerOf(jwt).kid ?? "");
  if (!key) throw unauthenticated();
  return verify(jwt, key, expected);
}

/** Expiry has no grace: only `nbf` and `iat` may be ahead by the skew. */
const isInTime = ({ exp = 0, iat = 0 }: JWTPayload, now: number) => exp > now / 1000 && iat <= now / 1000 + skewSeconds;

async function verify(
  jwt: string,
  key: CryptoKey | Uint8Array,
  { issuer, audience, typ, now }: Expected,
): Promise<JWTPayload> {
  headerOf(jwt);
  try {
    const { payload } = await jwtVerify(jwt, key, {
      algorithms: [algorithm],
      issuer,
      audience,
      typ,
      requiredClaims: ["sub", "exp"],
      clockTolerance: skewSeconds,
      currentDate: new Date(now),
    });
    if (!isInTime(payload, now)) throw unauthenticated();
    return payload;
  } catch {
    throw unauthenticated();
  }
}

/** The header, which may have `alg`, `typ` and `kid` alone: no `crit`, `jku`, `x5u`, `jwk` or `b64` is ever looked at. */
function headerOf(jwt: string): { kid?: string | undefined } {
  if (jwt.length > maxTokenLength) throw unauthenticated();
  try {
    const header = decodeProtectedHeader(jwt);
    if (Object.keys(header).every((key) => key === "alg" || key === "typ" || key === "kid")) return { kid: header.kid };
  } catch {
    // What cannot be decoded is refused below like every other header.
  }
  throw unauthenticated();
}

const encoder = new TextEncoder();

/** A JWS in compact form (RFC 7515). */
async function sign(
  keyring: Keyring,
  typ: string,
  payload: JWTPayload,
  now: number,
  expiresAt: number,
): Promise<string> {
  const header = { alg: algorithm, typ, kid: keyring.kid };
  const claims = { ...payload, iat: Math.floor(now / 1000), exp: expiresAt };
  const signed = `${base64url.encode(JSON.stringify(header))}.${base64url.encode(JSON.stringify(claims))}`;
  const bytes = encoder.encode(signed);
  const signature = keyring.sign?.(bytes) ?? (await crypto.subtle.sign("Ed25519", keyring.privateKey, bytes));
  return `${signed}.${base64url.encode(new Uint8Array(signature))}`;
}
