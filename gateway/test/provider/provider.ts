/** For tests: starts, stops and uses the OpenID provider of process.ts. */
import { freePort } from "@berth/shared/node/free-port";
import { exportJWK, generateKeyPair, SignJWT, type JWK, type JWTPayload } from "jose";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export type TestProvider = Awaited<ReturnType<typeof startProvider>>;

export interface ProviderOptions {
  /** Where its client is sent back to. */
  redirectUri: string;
  algorithm?: "RS256" | "EdDSA";
  /** Claims by subject. */
  accounts?: Record<string, Record<string, unknown>>;
}

/** Starts a provider on a port of its own. */
export async function startProvider({ redirectUri, algorithm = "RS256", accounts = {} }: ProviderOptions) {
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}`;
  let key = await makeKey(algorithm, "first");
  let child: ChildProcess | null = null;

  const start = async () => {
    const config = { port, jwks: { keys: [key] }, algorithm, redirectUris: [redirectUri], accounts };
    const path = fileURLToPath(new URL("process.ts", import.meta.url));
    child = spawn(process.execPath, [path], {
      env: { PATH: process.env["PATH"], PROVIDER_CONFIG: JSON.stringify(config), NODE_NO_WARNINGS: "1" },
      stdio: ["pipe", "pipe", "inherit"],
    });
    await Promise.race([
      once(child.stdout!, "data"),
      once(child, "exit").then(([code]) => Promise.reject(new Error(`the provider ended with ${code}`))),
    ]);
  };
  const stop = async () => {
    if (!child) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    child = null;
  };
  await start();

  return {
    issuer,
    start,
    stop,
    get key() {
      return key;
    },
    /** Gives it another key under this id; the old one is gone. */
    async rotate(kid: string) {
      await stop();
      key = await makeKey(algorithm, kid);
      await start();
    },
    /** How often a path was asked for. */
    async asked(path: string): Promise<number> {
      return ((await (await fetch(`${issuer}/control/asked`)).json()) as Record<string, number>)[path] ?? 0;
    },
    /** Walks a browser from this address of the provider to where it sends it back; the last address. */
    async signIn(location: string, subject: string): Promise<string> {
      await fetch(`${issuer}/control/who?sub=${subject}`);
      const cookies = new Map<string, string>();
      let at = location;
      for (let hops = 0; at.startsWith(issuer); hops++) {
        if (hops > 8) throw new Error("the provider sends in circles");
        const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
        const answer = await fetch(at, { redirect: "manual", headers: { cookie } });
        for (const line of answer.headers.getSetCookie()) {
          const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
          cookies.set(name!, value!);
        }
        const next = answer.headers.get("location");
        if (!next) throw new Error(`the provider answered ${answer.status}: ${await answer.text()}`);
        at = new URL(next, at).href;
      }
      return at;
    },
    /** An ID token of a real sign-in at this client. */
    async idToken(subject: string, clientId: "berth" | "other" = "berth"): Promise<string> {
      const verifier = "v".repeat(43);
      const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
      const url = new URL(`${issuer}/auth`);
      url.search = new URLSearchParams({
        client_id: clientId,
        redirect_uri: redirectUri,
        response_type: "code",
        scope: "openid profile email",
        code_challenge: Buffer.from(digest).toString("base64url"),
        code_challenge_method: "S256",
      }).toString();
      const back = new URL(await this.signIn(url.href, subject));
      const secret = `secret of ${clientId}, which is long enough`;
      const answer = await fetch(`${issuer}/token`, {
        method: "POST",
        headers: { authorization: `Basic ${btoa(`${clientId}:${encodeURIComponent(secret)}`)}` },
        body: new URLSearchParams({
          grant_type: "authorization_code",
          code: back.searchParams.get("code")!,
          redirect_uri: redirectUri,
          code_verifier: verifier,
        }),
      });
      return ((await answer.json()) as { id_token: string }).id_token;
    },
    /** A token signed with the provider's own key, with claims and header at will. */
    async forge(claims: JWTPayload = {}, header: Record<string, unknown> = {}): Promise<string> {
      const seconds = Math.floor(Date.now() / 1000);
      const { importJWK } = await import("jose");
      const all = { iss: issuer, aud: "berth", sub: "forged", iat: seconds, exp: seconds + 600, ...claims };
      for (const [name, value] of Object.entries(all)) if (value === undefined) Reflect.deleteProperty(all, name);
      // jose signs what is critical where it is told that somebody knows it.
      const known = Object.fromEntries([header["crit"] ?? []].flat().map((name) => [name, true]));
      return new SignJWT(all)
        .setProtectedHeader({ alg: algorithm, kid: key.kid!, ...header })
        .sign(await importJWK(key, algorithm), { crit: known });
    },
    close: stop,
  };
}

async function makeKey(algorithm: string, kid: string): Promise<JWK> {
  const { privateKey } = await generateKeyPair(algorithm, { crv: "Ed25519", extractable: true });
  return { ...(await exportJWK(privateKey)), kid, alg: algorithm, use: "sig" };
}
