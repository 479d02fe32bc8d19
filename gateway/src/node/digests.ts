/** Digests and signatures at once, without a turn through another thread. */
import { createHmac, createPrivateKey, createSecretKey, hash, sign, timingSafeEqual } from "node:crypto";
import type { JWK } from "jose";
import type { Digests } from "../keys/digests.ts";
import type { Signer } from "../keys/keyring.ts";

export const nodeDigests: Digests = {
  sha256Hex: (text) => hash("sha256", text),
  // Given bytes, Node asks first whether they are one of its keys, by an exception that costs as much as the HMAC.
  hmacSha256: (key, data) => createHmac("sha256", createSecretKey(key)).update(data).digest(),
  isSame: (one, other) => one.length === other.length && timingSafeEqual(one, other),
};

export function createNodeSigner(jwk: JWK): Signer {
  const key = createPrivateKey({ key: jwk, format: "jwk" });
  return (data) => sign(null, data, key);
}
