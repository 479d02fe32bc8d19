/** The gateway's own signing keys: the first signs, all verify. Knows nothing of where they are kept. */
import { base64url, calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from "jose";

/** Ed25519 of the bytes, at once: Web Crypto's comes by way of another thread, which takes several times as long as signing. */
export type Signer = (data: Uint8Array) => Uint8Array;

export interface Keyring {
  /** Id of the key that signs: the RFC 7638 thumbprint. */
  kid: string;
  privateKey: CryptoKey;
  /** Signs with that key, where the runtime has such a function. */
  sign?: Signer | undefined;
  publicKeys: ReadonlyMap<string, CryptoKey>;
  /** AES-256-GCM keys by key id, each derived from that signing key: what the database holds sealed opens with them alone. */
  sealingKeys: ReadonlyMap<string, CryptoKey>;
  /** The public halves, as `/.well-known/jwks.json` answers them. */
  jwks: { keys: JWK[] };
}

/** The one algorithm of every token that Berth signs. */
export const algorithm = "EdDSA";

/** A new Ed25519 key as a private JWK. */
export async function createSigningJwk(): Promise<JWK> {
  const { privateKey } = await generateKeyPair(algorithm, { crv: "Ed25519", extractable: true });
  return exportJWK(privateKey);
}

/** Imports private JWKs; the first of them signs. */
export async function importKeyring(jwks: JWK[], makeSigner?: (jwk: JWK) => Signer): Promise<Keyring> {
  const entries = await Promise.all(
    jwks.map(async (jwk) => {
      const kid = await calculateJwkThumbprint(jwk);
      const publicJwk: JWK = { kty: "OKP", crv: "Ed25519", x: jwk.x!, kid, alg: algorithm, use: "sig" };
      const publicKey = (await importJWK(publicJwk, algorithm)) as CryptoKey;
      return { kid, publicJwk, publicKey, sealingKey: await deriveSealingKey(jwk) };
    }),
  );
  return {
    kid: entries[0]!.kid,
    privateKey: (await importJWK(jwks[0]!, algorithm)) as CryptoKey,
    sign: makeSigner?.(jwks[0]!),
    publicKeys: new Map(entries.map(({ kid, publicKey }) => [kid, publicKey])),
    sealingKeys: new Map(entries.map(({ kid, sealingKey }) => [kid, sealingKey])),
    jwks: { keys: entries.map(({ publicJwk }) => publicJwk) },
  };
}

async function deriveSealingKey(jwk: JWK): Promise<CryptoKey> {
  const secret = base64url.decode(jwk.d!) as Uint8Array<ArrayBuffer>;
  const base = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveKey"]);
  const info = new TextEncoder().encode("berth: secrets in the database");
  const derivation = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info };
  return crypto.subtle.deriveKey(derivation, base, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}
