/**
 * Who calls: verifies the gateway's JWTs with its public keys. Each answer to a report brings them, and they are kept, so that
 * calls of a gateway that is unreachable from here still verify; an unknown key id makes us ask for them, at most every 30 s.
 */
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from "jose";
import { parseSmall } from "@berth/shared/bounds/json-scan";
import { AppError } from "@berth/shared/errors";
import { type CallClaims, callClaims, protocolVersion, tellMismatch } from "@berth/shared/host-api";
import { messageOf } from "@berth/shared/log";
import type { HostContext } from "../context/context.ts";
import type { Identity } from "./identity.ts";
import type { Store } from "../store/store.ts";

/** `call` names what is asked for, see `nameCall`. */
export type VerifyGateway = (authorization: string | undefined, call: string) => Promise<CallClaims>;

const skewSeconds = 30;
/** More than a gateway's token has. */
const claimsMaxValues = 100;
/** From its signature on, a token is of no use after so long. */
const longestMs = 90_000;

/** Keeps the gateway's public keys, as its JWK set tells them, in place of those of before. */
export function keepGatewayKeys(store: Pick<Store, "getMeta" | "setMeta">, jwks: string): void {
  if (store.getMeta("jwks") !== jwks) store.setMeta("jwks", jwks);
}

export function createGatewayVerifier(
  { hostId, clock, log }: HostContext,
  identity: Identity,
  store: Store,
): VerifyGateway {
  let known = readKeys('{"keys":[]}');
  const keysNow = () => {
    const text = store.getMeta("jwks") ?? known.text;
    if (text !== known.text) known = readKeys(text);
    return known;
  };
  let askedAt = -Infinity;
  let asking: Promise<void> | null = null;

  async function askKeys(): Promise<void> {
    if (performance.now() - askedAt < 30_000) return;
    asking ??= (async () => {
      askedAt = performance.now();
      try {
        const answer = await fetch(`${identity.gatewayUrl}/.well-known/jwks.json`, {
          signal: AbortSignal.timeout(5000),
        });
        if (!answer.ok) return;
        const { text } = readKeys(await answer.text());
        keepGatewayKeys(store, text);
      } catch {
        // The gateway is away, or something else answers in its place; what is known stays good.
      } finally {
        asking = null;
      }
    })();
    await asking;
  }

  const useOnce = createOnce();
  return async (authorization, call) => {
    const token = /^Bearer (\S+)$/.exec(authorization ?? "")?.[1];
    if (!token) throw unauthenticated();
    try {
      const { kid } = decodeProtectedHeader(token);
      if (!keysNow().kids.has(kid)) await askKeys();
      const { payload } = await jwtVerify(token, keysNow().find, {
        algorithms: ["EdDSA"],
        issuer: identity.issuer,
        audience: hostId,
        typ: "berth-call+jwt",
        requiredClaims: ["sub", "exp"],
        clockTolerance: skewSeconds,
        currentDate: new Date(clock.now()),
      });
      const claims = callClaims.parse(payload);
      if (claims.call !== call) throw new Error("the token is of another call");
      if (claims.body === null) useOnce(claims.jti, clock.now());
      return claims;
    } catch (error) {
      log.warn("call.refused", { error: messageOf(error) });
      throw unauthenticated(error);
    }
  };
}

/** To be read once: a set of keys imports each of them when it is first needed, which costs as much as a signature. */
function readKeys(text: string) {
  const jwks = JSON.parse(text) as JSONWebKeySet;
  return { text, kids: new Set(jwks.keys.map(({ kid }) => kid)), find: createLocalJWKSet(jwks) };
}

/**
 * Whom a call says it is for, before anything is verified: good for the order in which calls are taken, and for nothing else. Never
 * throws, whatever a stranger made up: nobody would catch it there.
 */
export function claimedSubject(authorization = ""): string {
  const claims = parseSmall(Buffer.from(authorization.split(".")[1] ?? "", "base64url"), claimsMaxValues);
  const sub = (claims as { sub?: unknown } | null | undefined)?.sub;
  return typeof sub === "string" ? sub : "";
}

/** Remembers ids for as long as their tokens could come again, by two sets of which the older is forgotten. Throws where one does. */
function createOnce(): (jti: string, now: number) => void {
  let [recent, older, since] = [new Set<string>(), new Set<string>(), 0];
  return (jti, now) => {
    if (recent.has(jti) || older.has(jti)) throw new Error("the token was used before");
    if (Math.abs(now - since) > longestMs) [recent, older, since] = [new Set(), recent, now];
    recent.add(jti);
  };
}

/** Throws `host_unavailable` for a call of a gateway that speaks another protocol than this host; `spoken` is its header. */
export function checkProtocol(spoken: string | string[] | undefined): void {
  const mismatch = tellMismatch(protocolVersion, Number(spoken ?? 0));
  if (mismatch !== null) throw new AppError("host_unavailable", mismatch, { retryAfter: 60 });
}

export const unauthenticated = (cause?: unknown) =>
  new AppError("unauthenticated", "This call does not carry a valid token of this host's gateway.", {}, { cause });
