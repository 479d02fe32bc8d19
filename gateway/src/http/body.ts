/** Reads bodies with a bound, whoever sends them. */
import { AppError } from "@berth/shared/errors";
import { JsonScan } from "@berth/shared/bounds/json-scan";
import { sleep, withDeadline } from "@berth/shared/wait";

/** What a body may be, whoever sends it: parsing costs by the value, not by the byte. */
export interface BodyBounds {
  bytes: number;
  /** Keys and values. */
  values: number;
  /** How long it may take to come whole, in milliseconds. */
  withinMs?: number;
}
/** Nothing in the contract is nested deeper, reports of hosts included. */
const maxDepth = 20;

/**
 * The JSON of a request. Throws `invalid_request` for another content type, bad UTF-8 or broken JSON, and as `readBody`.
 * Where a body is optional, one of no bytes is `{}`, whatever its type is said to be.
 */
export async function readJson(request: Request, bounds: BodyBounds, isOptional = false): Promise<unknown> {
  if (!isOptional) refuseOtherTypes(request);
  const withinMs = bounds.withinMs ?? (bounds.bytes > smallBytes ? slowestMs : slowestSmallMs);
  const bytes = await readBody(request, bounds.bytes, withinMs);
  if (isOptional && bytes.length === 0) return {};
  refuseOtherTypes(request);
  await refuseShape(bytes, bounds.values);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new AppError("invalid_request", "The body is not well-formed JSON in UTF-8.");
  }
}

/** So much is looked at in one pass of the event loop: about a millisecond's work. */
const scannedAtOnce = 65_536;

/** Before anything is made of it. */
async function refuseShape(bytes: Uint8Array, maxValues: number): Promise<void> {
  const scan = new JsonScan(maxDepth);
  // The decoder leaves a byte order mark out.
  for (let at = bytes[0] === 0xef ? 3 : 0; at < bytes.length; at += scannedAtOnce) {
    if (at >= scannedAtOnce) await sleep(0);
    scan.push(bytes.subarray(at, at + scannedAtOnce));
  }
  if (!scan.isWhole())
    throw new AppError(
      "invalid_request",
      `The body is not well-formed JSON in UTF-8, nested ${maxDepth} levels at most.`,
    );
  if (scan.values() > maxValues)
    throw new AppError("payload_too_large", `The body has over ${maxValues} keys and values.`);
}

function refuseOtherTypes(request: Request): void {
  if (!/^application\/json\s*(;|$)/i.test(request.headers.get("content-type") ?? ""))
    throw new AppError("invalid_request", "The body must be JSON, with content-type application/json.");
}

/** How long a body that is read whole may take, in milliseconds. */
const slowestMs = 300_000;
/** The same for a small one. */
const slowestSmallMs = 30_000;
const smallBytes = 65_536;

/** The bytes of a request. Throws `payload_too_large` over the bound, `invalid_request` when its sender broke off or dawdles. */
export async function readBody(request: Request, maxBytes: number, withinMs = slowestMs): Promise<Uint8Array> {
  const read = () => readBytes(request, maxBytes, maxBytes);
  const bytes = await withDeadline(withinMs, read, () => new Error("too slow")).catch((error: unknown) => {
    throw new AppError("invalid_request", "The body did not come whole.", {}, { cause: error });
  });
  if (!bytes) throw new AppError("payload_too_large", `The body is over ${maxBytes} bytes.`);
  return bytes;
}

/**
 * The whole body, or null when it is over the bound. What is over is not kept, and read only as far as `lingerBytes` more: a
 * connection that closes on a sender in the midst of its body takes the answer with it.
 */
export async function readBytes(
  message: Request | Response,
  maxBytes: number,
  lingerBytes = 0,
): Promise<Uint8Array | null> {
  // Of one that is unpacked on its way the declared length says nothing.
  const declared = message.headers.has("content-encoding") ? null : message.headers.get("content-length");
  if (declared !== null && Number(declared) <= maxBytes) return new Uint8Array(await message.arrayBuffer());
  if (Number(declared) > maxBytes + lingerBytes) return null;
  if (!message.body) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of streamOf(message.body)) {
    length += chunk.length;
    if (length > maxBytes + lingerBytes) return null;
    if (length <= maxBytes) chunks.push(chunk);
  }
  return length > maxBytes ? null : joinBytes(chunks);
}

async function* streamOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value;
  } finally {
    await reader.cancel();
  }
}

/** One array of all the bytes. */
export function joinBytes(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
