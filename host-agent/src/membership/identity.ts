/**
 * Who this host is: its id, its own key (made here, the private half never leaves) and the gateway it belongs to. Joins
 * once with a join token; after that a file says who it is.
 */
import { randomUUID } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from "jose";
import { z } from "zod";
import { gatewayAudience, joinAnswer, type JoinBody, protocolVersion } from "@berth/shared/host-api";
import { messageOf, type Log } from "@berth/shared/log";
import { writeDurably } from "@berth/shared/node/durable-file";
import { isLoopback, type Settings, SettingsError } from "@berth/shared/settings";
import { ifMissing } from "../machine/missing.ts";
import { backoff, sleep } from "@berth/shared/wait";

const identityFile = z.object({
  hostId: z.string(),
  issuer: z.string(),
  gatewayUrl: z.string(),
  privateKey: z.looseObject({ kty: z.string() }),
});

/** While a join has no answer yet. */
const joiningFile = z.object({
  token: z.string(),
  privateKey: z.looseObject({ kty: z.string(), crv: z.string(), x: z.string() }),
});

export type Identity = Awaited<ReturnType<typeof openIdentity>>;

/** Reads the identity below `dataDir`, or joins. Throws a SettingsError where a person must act. */
export async function openIdentity(settings: Settings, dataDir: string, log: Log, signal: AbortSignal) {
  const path = join(dataDir, "host.json");
  const text = await readFile(path, "utf8").catch(ifMissing(null));
  const known = text === null ? await joinGateway(settings, path, log, signal) : identityFile.parse(JSON.parse(text));
  const key = await importJWK(known.privateKey as JWK, "EdDSA");
  const gateway = new URL(settings.BERTH_GATEWAY_URL ?? known.gatewayUrl);
  if (gateway.protocol === "http:" && !isLoopback(gateway.hostname))
    log.warn("gateway.unencrypted", { url: gateway.origin });
  return {
    hostId: known.hostId,
    /** The gateway's `iss`. */
    issuer: known.issuer,
    gatewayUrl: settings.BERTH_GATEWAY_URL ?? known.gatewayUrl,
    /** A JWT for the gateway, good for 45 s at least; `now` in milliseconds since 1970. */
    sign: reuse((now) =>
      new SignJWT()
        .setProtectedHeader({ alg: "EdDSA", typ: "berth-host+jwt" })
        .setIssuer(known.hostId)
        .setSubject(known.hostId)
        .setAudience(gatewayAudience)
        .setJti(randomUUID())
        .setIssuedAt(Math.floor(now / 1000))
        .setExpirationTime(Math.floor(now / 1000) + 55)
        .sign(key),
    ),
  };
}

const reusedMs = 10_000;

/** Signs anew once in a while: the end of a run is told by a report, and waits for no signature on either side. */
function reuse(sign: (now: number) => Promise<string>): (now: number) => Promise<string> {
  let last = { at: -Infinity, jwt: Promise.resolve("") };
  return (now) => {
    // A clock that was set signs anew too.
    if (Math.abs(now - last.at) >= reusedMs) last = { at: now, jwt: sign(now) };
    return last.jwt;
  };
}

async function joinGateway(settings: Settings, path: string, log: Log, signal: AbortSignal) {
  const { BERTH_GATEWAY_URL: gatewayUrl, BERTH_JOIN_TOKEN: token } = settings;
  if (!gatewayUrl || !token)
    throw new SettingsError(
      "This host has not joined a gateway yet: set BERTH_GATEWAY_URL and BERTH_JOIN_TOKEN (an admin makes the token).",
    );
  const privateKey = await keyForJoin(`${path}.joining`, token);
  const { kty, crv, x } = privateKey;
  const body: JoinBody = {
    protocol: protocolVersion,
    token,
    name: settings.BERTH_HOST_NAME ?? hostname(),
    url: settings.BERTH_HOST_URL,
    publicKey: { kty: kty as "OKP", crv: crv as "Ed25519", x },
  };
  const answer = await postUntilAnswered(`${gatewayUrl}/internal/hosts/join`, body, log, signal);
  if (!answer.ok) {
    const problem = (await answer.json().catch(() => null)) as { detail?: string } | null;
    throw new SettingsError(
      `The gateway refused the join (${answer.status}): ${problem?.detail ?? "make a new join token"}`,
    );
  }
  const { hostId, issuer } = joinAnswer.parse(await answer.json());
  const identity = { hostId, issuer, gatewayUrl, privateKey };
  writeDurably(path, JSON.stringify(identity));
  await rm(`${path}.joining`, { force: true });
  log.info("host.joined", { hostId });
  return identity;
}

/**
 * The key to join with, stored before it is shown: the gateway takes a token from one key alone, so that whoever was killed
 * while it waited for the answer must ask again with the same.
 */
async function keyForJoin(path: string, token: string): Promise<z.infer<typeof joiningFile>["privateKey"]> {
  const text = await readFile(path, "utf8").catch(ifMissing(null));
  const known = text === null ? null : joiningFile.parse(JSON.parse(text));
  if (known?.token === token) return known.privateKey;
  const { privateKey } = await generateKeyPair("EdDSA", { extractable: true });
  const joining = joiningFile.parse({ token, privateKey: { ...(await exportJWK(privateKey)), kty: "OKP" } });
  writeDurably(path, JSON.stringify(joining));
  return joining.privateKey;
}

/** Retries while no gateway answers; any answer of it is an answer. */
async function postUntilAnswered(url: string, body: unknown, log: Log, signal: AbortSignal): Promise<Response> {
  for (let attempt = 0; ; attempt++) {
    signal.throwIfAborted();
    try {
      const answer = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]),
      });
      if (answer.status < 500) return answer;
    } catch (error) {
      if (attempt === 0) log.warn("gateway.unreachable", { error: messageOf(error) });
    }
    await sleep(backoff(attempt, 250, 5000), signal);
  }
}
