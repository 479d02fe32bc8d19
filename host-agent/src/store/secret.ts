/** Comparing secrets in a time that does not tell how much of them agrees. */
import { createHash, timingSafeEqual } from "node:crypto";

/** Whether two secrets are the same. */
export function isSameSecret(known: string, given: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(known), digest(given));
}
