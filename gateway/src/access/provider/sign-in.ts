/** Dashboard sign-in at the OpenID provider: authorization code with PKCE, state and nonce. What must be remembered in between is a signed cookie. */
import { AppError } from "@berth/shared/errors";
import { messageOf } from "@berth/shared/log";
import * as client from "openid-client";
import { z } from "zod";
import type { Deps } from "../../deps.ts";
import { signAttempt, unauthenticated, verifyAttempt } from "../../keys/jwt.ts";
import { toProfile, type Profile, type ProviderVerifier } from "./token.ts";
import { askProvider, type Known, type Provider } from "./discovery.ts";

/** How long a person has at the provider. */
export const attemptSeconds = 600;
const deadlineSeconds = 10;
const attemptClaims = z.object({ state: z.string().min(20), nonce: z.string().min(20), verifier: z.string().min(43) });

interface Begun {
  /** Where the browser goes. */
  url: URL;
  /** What the browser keeps meanwhile: a signed JWT. */
  attempt: string;
}

export const callbackPath = "/session/oidc/callback";

/** Begins a sign-in. Throws `host_unavailable` when the provider was never reached. */
export async function beginSignIn(deps: Deps, provider: Provider): Promise<Begun> {
  const configuration = configure(provider, await knowOrThrow(provider));
  const attempt = {
    state: client.randomState(),
    nonce: client.randomNonce(),
    verifier: client.randomPKCECodeVerifier(),
  };
  const url = client.buildAuthorizationUrl(configuration, {
    response_type: "code",
    redirect_uri: deps.settings.BERTH_PUBLIC_URL + callbackPath,
    scope: "openid profile email",
    state: attempt.state,
    nonce: attempt.nonce,
    code_challenge: await client.calculatePKCECodeChallenge(attempt.verifier),
    code_challenge_method: "S256",
  });
  return { url, attempt: await signAttempt(deps.keyring, deps.settings.BERTH_PUBLIC_URL, attempt, deps.now()) };
}

/** Ends a sign-in: who came back. `search` is the query of the callback. Throws `unauthenticated`, or `host_unavailable` when the provider is away. */
export async function finishSignIn(
  deps: Deps,
  provider: Provider,
  verifier: ProviderVerifier,
  { search, attempt }: { search: string; attempt: string | null },
): Promise<Profile> {
  const publicUrl = deps.settings.BERTH_PUBLIC_URL;
  const claims = attemptClaims.safeParse(await verifyAttempt(deps.keyring, publicUrl, attempt ?? "", deps.now()));
  if (!claims.success) throw unauthenticated();
  const { state, nonce, verifier: pkceCodeVerifier } = claims.data;
  const known = await knowOrThrow(provider);
  const configuration = configure(provider, known);
  try {
    const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier, idTokenExpected: true };
    const tokens = await client.authorizationCodeGrant(
      configuration,
      new URL(publicUrl + callbackPath + search),
      checks,
    );
    const { profile } = await verifier.verify(tokens.id_token!, deps.now());
    if (!known.metadata.userinfo_endpoint) return profile;
    const told = await client.fetchUserInfo(configuration, tokens.access_token, profile.subject);
    const claims = tokens.claims();
    // An address counts as verified by the same answer that names it.
    const email_verified = told.email === undefined ? claims?.["email_verified"] : told.email_verified;
    return toProfile(profile.issuer, { ...claims, ...told, email_verified });
  } catch (error) {
    deps.log.warn("sign_in.provider_refused", { error: messageOf(error) });
    if (isAway(error)) throw providerAway(error);
    throw new AppError("unauthenticated", unauthenticated().message, {}, { cause: error });
  }
}

async function knowOrThrow(provider: Provider): Promise<Known> {
  const known = await provider.know();
  if (!known) throw providerAway(undefined);
  return known;
}

function providerAway(cause: unknown): AppError {
  const detail = "The OpenID provider does not answer, or calls itself otherwise than BERTH_OIDC_ISSUER.";
  return new AppError("host_unavailable", detail, { retryAfter: 30 }, { cause });
}

/** A connection that failed or took too long, as against an answer that says no. */
function isAway(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if (at instanceof TypeError || at.name === "TimeoutError" || at.name === "AbortError") return true;
  return false;
}

function configure({ clientId, clientSecret, issuer }: Provider, { metadata }: Known): client.Configuration {
  const configuration = new client.Configuration(metadata, clientId, {}, authOf(clientSecret, metadata));
  configuration.timeout = deadlineSeconds;
  configuration[client.customFetch] = askProvider;
  if (issuer.startsWith("http:")) client.allowInsecureRequests(configuration);
  return configuration;
}

function authOf(secret: string | undefined, metadata: client.ServerMetadata): client.ClientAuth {
  if (secret === undefined) return client.None();
  const methods = metadata.token_endpoint_auth_methods_supported ?? ["client_secret_basic"];
  return methods.includes("client_secret_basic") ? secretInHeader(secret) : client.ClientSecretPost(secret);
}

/**
 * HTTP Basic as RFC 6749 has it, with no more escaped than must be: the library's own escapes `-`, `_` and `~` too, which
 * secrets of Google and Entra have, and not each provider undoes that.
 */
function secretInHeader(secret: string): client.ClientAuth {
  const escape = (text: string) => encodeURIComponent(text).replaceAll("%20", "+");
  return (_server, { client_id }, _body, headers) =>
    headers.set("authorization", `Basic ${btoa(`${escape(client_id)}:${escape(secret)}`)}`);
}
