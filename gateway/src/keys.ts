/** The gateway's own signing keys: the first signs, all verify. Knows nothing of where they are kept. */
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from "jose";

export interface Keyring {
  /** Id of the key that signs: the RFC 7638 thumbprint. */
  kid: string;
  privateKey: CryptoKey;
  publicKeys: ReadonlyMap<string, CryptoKey>;
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
export async function importKeyring(jwks: JWK[]): Promise<Keyring> {
  const entries = await Promise.all(
    jwks.map(async (jwk) => {
      const kid = await calculateJwkThumbprint(jwk);
      const publicJwk: JWK = { kty: "OKP", crv: "Ed25519", x: jwk.x!, kid, alg: algorithm, use: "sig" };
      const publicKey = (await importJWK(publicJwk, algorithm)) as CryptoKey;
      return { kid, publicJwk, publicKey };
    }),
  );
  return {
    kid: entries[0]!.kid,
    privateKey: (await importJWK(jwks[0]!, algorithm)) as CryptoKey,
    publicKeys: new Map(entries.map(({ kid, publicKey }) => [kid, publicKey])),
    jwks: { keys: entries.map(({ publicJwk }) => publicJwk) },
  };
}
