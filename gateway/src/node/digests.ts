/** Digests at once, without a turn through another thread. */
import { createHmac, hash } from "node:crypto";
import type { Digests } from "../keys/digests.ts";

export const nodeDigests: Digests = {
  sha256Hex: (text) => hash("sha256", text),
  hmacSha256: (key, data) => createHmac("sha256", key).update(data).digest(),
};
