/** The three ways a webhook proves who sent it. Knows no database: secrets, headers and bytes in, the sender's delivery id out. */
import { AppError } from "@berth/shared/errors";
import { idempotencyKey } from "@berth/shared/resources";
import type { SenderScheme } from "@berth/shared/webhooks";
import { base64url } from "jose";
import { joinBytes } from "../http/body.ts";
import type { Digests } from "../keys/digests.ts";

interface WebhookMessage {
  headers: Headers;
  body: Uint8Array;
}
/** What a genuine message says of itself; without an id nothing is deduplicated. */
interface Genuine {
  externalId: string | null;
}

const toleranceSeconds = 300;
const secretBytes = 32;
/** A sender that rotates sends two or three; more is somebody who makes us compute. */
const maxSignatures = 8;

/** A new secret in the form that senders of this scheme expect. */
export function createSecret(scheme: SenderScheme): string {
  const bytes = crypto.getRandomValues(new Uint8Array(secretBytes));
  return scheme === "standard" ? `whsec_${btoa(String.fromCharCode(...bytes))}` : base64url.encode(bytes);
}

/**
 * Holds a message against each of the secrets, in constant time; null when it is not genuine. `now` in milliseconds
 * since 1970. Throws `invalid_request` for a genuine message whose delivery id is none.
 */
export async function verifyWebhook(
  digests: Digests,
  scheme: SenderScheme,
  secrets: string[],
  message: WebhookMessage,
  now: number,
): Promise<Genuine | null> {
  const results = await Promise.all(secrets.map((secret) => isGenuine[scheme](digests, secret, message, now)));
  if (!results.includes(true)) return null;
  const name = idHeader[scheme];
  const externalId = message.headers.get(name);
  if (externalId !== null && !idempotencyKey.safeParse(externalId).success)
    throw new AppError("invalid_request", `The header ${name} must be 1 to 255 visible ASCII characters.`);
  return { externalId };
}

const idHeader = {
  standard: "webhook-id",
  github: "x-github-delivery",
  token: "idempotency-key",
} as const satisfies Record<SenderScheme, string>;

type Verify = (digests: Digests, secret: string, message: WebhookMessage, now: number) => Promise<boolean>;

const isGenuine: Record<SenderScheme, Verify> = {
  /** Standard Webhooks 1.0: HMAC-SHA256 of `id.timestamp.body`, several signatures separated by spaces. */
  async standard(digests, secret, { headers, body }, now) {
    const [id, timestamp] = [headers.get("webhook-id"), headers.get("webhook-timestamp")];
    if (!id || !timestamp || !/^\d{1,12}$/.test(timestamp)) return false;
    if (Math.abs(now / 1000 - Number(timestamp)) > toleranceSeconds) return false;
    const given = (headers.get("webhook-signature") ?? "")
      .split(" ")
      .filter((signature) => signature.startsWith("v1,"))
      .map((signature) => fromBase64(signature.slice("v1,".length)));
    const key = fromBase64(secret.slice("whsec_".length));
    return isOneValid(digests, key, given, joinBytes([new TextEncoder().encode(`${id}.${timestamp}.`), body]));
  },
  /** GitHub: `sha256=` and the HMAC-SHA256 of the body in hex. */
  async github(digests, secret, { headers, body }) {
    const hex = /^sha256=([0-9a-f]{64})$/i.exec(headers.get("x-hub-signature-256") ?? "")?.[1];
    if (!hex) return false;
    const given = Uint8Array.from(hex.match(/../g)!, (byte) => Number.parseInt(byte, 16));
    return isOneValid(digests, new TextEncoder().encode(secret), [given], body);
  },
  /** A bearer token. */
  async token(digests, secret, { headers }) {
    const given = /^Bearer +(\S+)$/i.exec(headers.get("authorization") ?? "")?.[1];
    if (!given) return false;
    return digests.isSame(new TextEncoder().encode(secret), new TextEncoder().encode(given));
  },
};

async function isOneValid(
  digests: Digests,
  key: Uint8Array,
  given: Uint8Array[],
  signed: Uint8Array,
): Promise<boolean> {
  const expected = await digests.hmacSha256(key, signed);
  const tried = given.slice(0, maxSignatures).map((signature) => digests.isSame(expected, signature));
  return (await Promise.all(tried)).includes(true);
}

/** The bytes of base64; none for what is no base64. */
function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}
