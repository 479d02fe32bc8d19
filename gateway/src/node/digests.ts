/** Digests at once, without a turn through another thread. */
import { createHmac, createSecretKey, hash, timingSafeEqual } from "node:crypto";
import type { Digests } from "../keys/digests.ts";

export const nodeDigests: Digests = {
  sha256Hex: (text) => hash("sha256", text),
  // Given bytes, Node asks first whether they are one of its keys, by an exception that costs as much as the HMAC.
  hmacSha256: (key, data) => createHmac("sha256", createSecretKey(key)).update(data).digest(),
  isSame: (one, other) => one.length === other.length && timingSafeEqual(one, other),
};
