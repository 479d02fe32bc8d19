/**
 * Who calls: verifies the gateway's JWTs with its public keys. The keys are kept, so that calls of a gateway whose key
 * address is unreachable still verify; an unknown key id makes us ask again, at most every 30 s.
 */
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from "jose";
import { AppError } from "@berth/shared/errors";
import { type HostClaims, hostClaims, protocolVersion, tellMismatch } from "@berth/shared/host-api";
import { messageOf } from "@berth/shared/log";
import type { HostContext } from "../context/context.ts";
import type { Identity } from "./identity.ts";
import type { Store } from "../store/store.ts";

export type VerifyGateway = (authorization: string | undefined) => Promise<HostClaims>;

export function createGatewayVerifier(
  { hostId, clock, log }: HostContext,
  identity: Identity,
  store: Store,
): VerifyGateway {
  let keys = JSON.parse(store.getMeta("jwks") ?? '{"keys":[]}') as JSONWebKeySet;
  let askedAt = -Infinity;
  let asking: Promise<void> | null = null;

  async function askKeys(): Promise<void> {
    if (performance.now() - askedAt < 30_000) return;
    asking ??= (async () => {
      try {
        const answer = await fetch(`${identity.gatewayUrl}/.well-known/jwks.json`, {
          signal: AbortSignal.timeout(5000),
        });
        if (!answer.ok) return;
        keys = (await answer.json()) as JSONWebKeySet;
        store.setMeta("jwks", JSON.stringify(keys));
        askedAt = performance.now();
      } catch {
        // The gateway is away; what is known stays good.
      } finally {
        asking = null;
      }
    })();
    await asking;
  }

  return async (authorization) => {
    const token = /^Bearer (\S+)$/.exec(authorization ?? "")?.[1];
    if (!token) throw unauthenticated();
    try {
      const { kid } = decodeProtectedHeader(token);
      if (!keys.keys.some((key) => key.kid === kid)) await askKeys();
      const { payload } = await jwtVerify(token, createLocalJWKSet(keys), {
        algorithms: ["EdDSA"],
        issuer: identity.issuer,
        audience: hostId,
        typ: "berth-call+jwt",
        requiredClaims: ["sub", "exp"],
        clockTolerance: 30,
        currentDate: new Date(clock.now()),
      });
      return hostClaims.parse(payload);
    } catch (error) {
      log.warn("call.refused", { error: messageOf(error) });
      throw unauthenticated(error);
    }
  };
}

/** Throws `host_unavailable` for a call of a gateway that speaks another protocol than this host; `spoken` is its header. */
export function checkProtocol(spoken: string | string[] | undefined): void {
  const mismatch = tellMismatch(protocolVersion, Number(spoken ?? 0));
  if (mismatch !== null) throw new AppError("host_unavailable", mismatch, { retryAfter: 60 });
}

const unauthenticated = (cause?: unknown) =>
  new AppError("unauthenticated", "This call does not carry a valid token of this host's gateway.", {}, { cause });
