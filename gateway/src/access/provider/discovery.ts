/**
 * The OpenID provider as we know it: its description and keys, read when they are first needed, kept in memory and in the
 * database. While it is away, what is known stays good; whatever a caller sends makes us ask it at most every 30 s.
 */
import { messageOf } from "@berth/shared/log";
import { eq } from "drizzle-orm";
import { createLocalJWKSet, type JSONWebKeySet } from "jose";
import { allowInsecureRequests, type CustomFetch, customFetch, discovery, type ServerMetadata } from "openid-client";
import { z } from "zod";
import { readBytes } from "../../http/body.ts";
import { isoTime } from "../../data/database.ts";
import type { Deps } from "../../deps.ts";
import { providers } from "../../data/schema.ts";

const askAgainMs = 30_000;
const freshMs = 600_000;
const deadlineSeconds = 4;
const answerMaxBytes = 256 * 1024;

/** Signatures with public keys: `none` and shared secrets are never among them, whatever the provider lists. */
const signatures = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];

/** What is known of the provider. */
export interface Known {
  metadata: ServerMetadata;
  algorithms: string[];
  keyIds: ReadonlySet<string | undefined>;
  /** Finds the key of a JWT's header. */
  keys: ReturnType<typeof createLocalJWKSet>;
  /** Milliseconds since 1970. */
  readAt: number;
}

export interface Provider {
  /** As the settings name it. */
  issuer: string;
  clientId: string;
  clientSecret: string | undefined;
  /** What is known, or null when it was never reached. With a key id that is not known, the provider is asked first if that is due. */
  know(keyId?: string): Promise<Known | null>;
}

/** The provider of the settings, or null without one. Asks nobody yet. */
export function createProvider(deps: Deps): Provider | null {
  const { BERTH_OIDC_ISSUER: issuer, BERTH_OIDC_CLIENT_ID: clientId } = deps.settings;
  if (issuer === undefined || clientId === undefined) return null;
  let known: Known | null = null;
  let isLoaded = false;
  let askedAt = -Infinity;
  let asking: Promise<void> | null = null;

  async function ask(): Promise<void> {
    try {
      const metadata = await readMetadata(issuer!, clientId!);
      const jwks = await readKeys(metadata);
      const readAt = deps.now();
      known = toKnown(metadata, jwks, readAt);
      await keep(deps, issuer!, metadata, jwks, readAt);
    } catch (error) {
      deps.log.warn("provider.unreachable", { issuer: issuer!, error: messageOf(error) });
    } finally {
      asking = null;
    }
  }
  const isDue = () => Math.abs(deps.now() - askedAt) >= askAgainMs;
  /** One question at a time, and none within 30 s of the last, whether that was answered or not. */
  async function askIfDue(): Promise<void> {
    if (isDue()) {
      askedAt = deps.now();
      asking = ask();
    }
    // Where requests are kept apart, the question of another that has ended never comes back: then what is known counts.
    await asking?.catch(() => undefined);
  }

  return {
    issuer,
    clientId,
    clientSecret: deps.settings.BERTH_OIDC_CLIENT_SECRET,
    async know(keyId) {
      if (!known && !isLoaded) {
        known ??= await load(deps, issuer);
        isLoaded = true;
      }
      const isMissing = !known || (keyId !== undefined && !known.keyIds.has(keyId));
      const isStale = known !== null && deps.now() - known.readAt > freshMs;
      // Nobody waits for a refresh but who does it: nothing goes on behind an answer.
      if (isMissing || (isStale && isDue())) await askIfDue();
      return known;
    },
  };
}

/** What the provider answers is read here, to a bound and under the signal's deadline, and never sends us elsewhere. */
export const askProvider = async (
  url: string,
  asked: Pick<Parameters<CustomFetch>[1], "method" | "headers" | "signal"> & { body?: unknown },
): Promise<Response> => {
  const answer = await fetch(url, { ...(asked as RequestInit), redirect: "manual" });
  const bytes = await readBytes(answer, answerMaxBytes);
  if (!bytes) throw new Error("the provider answers too much");
  const { status, headers } = answer;
  return new Response(bytes.length > 0 ? bytes.slice() : null, { status, headers });
};

async function readMetadata(issuer: string, clientId: string): Promise<ServerMetadata> {
  const execute = issuer.startsWith("http:") ? [allowInsecureRequests] : [];
  const options = { timeout: deadlineSeconds, execute, [customFetch]: askProvider };
  const { issuer: own, ...metadata } = (
    await discovery(new URL(issuer), clientId, {}, undefined, options)
  ).serverMetadata();
  // As plain data: the library adds functions.
  return JSON.parse(JSON.stringify({ issuer: own, ...metadata })) as ServerMetadata;
}

const keySet = z.object({
  keys: z.array(z.looseObject({ kty: z.string(), kid: z.string().optional(), use: z.string().optional() })).max(100),
});

async function readKeys({ issuer, jwks_uri }: ServerMetadata): Promise<JSONWebKeySet> {
  if (!jwks_uri || (!jwks_uri.startsWith("https:") && !issuer.startsWith("http:")))
    throw new Error("the provider names no address of its keys, or one without https");
  const answer = await askProvider(jwks_uri, {
    method: "GET",
    headers: { accept: "application/json" },
    signal: AbortSignal.timeout(deadlineSeconds * 1000),
  });
  if (answer.status !== 200) throw new Error(`the provider answered ${answer.status} for its keys`);
  const { keys } = keySet.parse(await answer.json());
  return { keys: keys.filter((key) => key.kty !== "oct" && key.use !== "enc") };
}

function toKnown(metadata: ServerMetadata, jwks: JSONWebKeySet, readAt: number): Known {
  const listed = metadata.id_token_signing_alg_values_supported ?? ["RS256"];
  return {
    metadata,
    algorithms: listed.filter((name) => signatures.includes(name)),
    keyIds: new Set(jwks.keys.map((key) => key.kid)),
    keys: createLocalJWKSet(jwks),
    readAt,
  };
}

async function keep({ db }: Deps, issuer: string, metadata: ServerMetadata, jwks: JSONWebKeySet, readAt: number) {
  const row = { metadata: { ...metadata } as Record<string, unknown>, jwks, readAt: isoTime(readAt) };
  await db
    .insert(providers)
    .values({ issuer, ...row })
    .onConflictDoUpdate({ target: providers.issuer, set: row });
}

async function load({ db }: Deps, issuer: string): Promise<Known | null> {
  const [row] = await db.select().from(providers).where(eq(providers.issuer, issuer));
  return row ? toKnown(row.metadata as unknown as ServerMetadata, row.jwks, Date.parse(row.readAt)) : null;
}
