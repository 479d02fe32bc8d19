/**
 * JWTs of the OpenID provider: which of them speak for a user here. ID tokens and JWT access tokens alike, so long as they
 * are meant for this client; see docs/adr for why.
 */
import { decodeJwt, decodeProtectedHeader, jwtVerify, type JWTPayload } from "jose";
import { z } from "zod";
import { unauthenticated } from "../../keys/jwt.ts";
import type { Known, Provider } from "./discovery.ts";

const skewSeconds = 30;
const maxLength = 16_384;
const rememberedTokens = 1000;
const headerNames = new Set(["alg", "typ", "kid", "x5t", "x5t#S256"]);
const types = new Set([undefined, "jwt", "at+jwt", "application/jwt", "application/at+jwt"]);

/** What the provider says of a person. */
export interface Profile {
  issuer: string;
  subject: string;
  username: string | null;
  email: string | null;
  isEmailVerified: boolean;
  name: string | null;
}

interface ProviderToken {
  profile: Profile;
  /** Seconds since 1970. */
  expiresAt: number;
}

export type ProviderVerifier = ReturnType<typeof createProviderVerifier>;

export function createProviderVerifier(provider: Provider) {
  let remembered = new Map<string, ProviderToken>();
  let verifiedWith: Known | null = null;
  return {
    /** Whether a JWT says that it is the provider's, before anything of it is verified. */
    isClaimed: (jwt: string) => jwt.length <= maxLength && isOf(provider, jwt),
    /** Throws `unauthenticated`. Remembers the last verified tokens for as long as the provider's keys stay. */
    async verify(jwt: string, now: number): Promise<ProviderToken> {
      const known = await provider.know(headerOf(jwt).kid);
      if (!known) throw unauthenticated();
      if (known !== verifiedWith) remembered = new Map();
      verifiedWith = known;
      const token = remembered.get(jwt) ?? (await verify(provider, known, jwt, now));
      if (token.expiresAt * 1000 <= now) throw unauthenticated();
      remembered.set(jwt, token);
      if (remembered.size > rememberedTokens) remembered.delete(remembered.keys().next().value!);
      return token;
    },
  };
}

/** The profile in the claims of a token or of the provider's user information. */
export function toProfile(issuer: string, claims: Record<string, unknown>): Profile {
  const parsed = profileClaims.safeParse(claims);
  if (!parsed.success) throw unauthenticated();
  const { sub, preferred_username, email, email_verified, name } = parsed.data;
  const isEmailVerified = email_verified === true || email_verified === "true";
  return {
    issuer,
    subject: sub,
    username: preferred_username ?? null,
    email: email ?? null,
    isEmailVerified,
    name: name ?? null,
  };
}

const text = z.string().max(1000).nullish().catch(null);
const profileClaims = z.object({
  sub: z.string().min(1).max(255),
  preferred_username: text,
  email: text,
  email_verified: z.unknown().optional(),
  name: text,
});

function isOf({ issuer }: Provider, jwt: string): boolean {
  try {
    const claimed = decodeJwt(jwt).iss;
    return claimed === issuer || `${claimed}/` === issuer || claimed === `${issuer}/`;
  } catch {
    return false;
  }
}

/** The header, which may bring no key of its own and nothing that must be understood. */
function headerOf(jwt: string): { kid?: string | undefined } {
  try {
    const header = decodeProtectedHeader(jwt);
    const isPlain = Object.keys(header).every((name) => headerNames.has(name));
    if (isPlain && types.has(header.typ?.toLowerCase())) return header;
  } catch {
    // What cannot be decoded is refused below like every other header.
  }
  throw unauthenticated();
}

/** Expiry has no grace: only `nbf` and `iat` may be ahead by the skew. */
async function verify({ clientId }: Provider, known: Known, jwt: string, now: number): Promise<ProviderToken> {
  try {
    const { payload } = await jwtVerify(jwt, known.keys, {
      algorithms: known.algorithms,
      issuer: known.metadata.issuer,
      audience: clientId,
      requiredClaims: ["sub", "exp"],
      clockTolerance: skewSeconds,
      currentDate: new Date(now),
    });
    if ((payload.iat ?? 0) > now / 1000 + skewSeconds || !isForClient(payload, clientId)) throw unauthenticated();
    return { profile: toProfile(known.metadata.issuer, payload), expiresAt: payload.exp! };
  } catch {
    throw unauthenticated();
  }
}

/**
 * The authorized party is this client: named, where the token is meant for several. Tokens bound to a key that we do not
 * ask for (`cnf`), and those that tell of an event (`events`: logout tokens), are no credentials here.
 */
function isForClient(payload: JWTPayload, clientId: string): boolean {
  const party = payload["azp"];
  const isNamed = Array.isArray(payload.aud) && payload.aud.length > 1;
  if (party === undefined ? isNamed : party !== clientId) return false;
  return payload["cnf"] === undefined && payload["events"] === undefined;
}
