/**
 * The listing of a directory as the program in the workspace tells it. The agent can stop that program and speak in its place: what
 * is told is bounded in bytes, values and depth before anything is made of it, and read a piece at a time.
 */
import { z } from "zod";
import { JsonScan } from "@berth/shared/bounds/json-scan";
import { AppError } from "@berth/shared/errors";
import { type DirectoryListing, fileEntry, listingMaxEntries } from "@berth/shared/files";
import { collect } from "@berth/shared/node/collect";

export const listingMaxBytes = 8 * 2 ** 20;
/** More keys and values than an entry has. */
const entryValues = 16;
const maxDepth = 4;
/** So much is one piece of work. */
const [bytesAtOnce, entriesAtOnce] = [65_536, 500];

const entrySchema = fileEntry
  .omit({ modifiedAt: true })
  .extend({ modifiedMs: z.int().min(-8.64e15).max(8.64e15) })
  .transform(({ modifiedMs, ...entry }) => ({ ...entry, modifiedAt: new Date(modifiedMs).toISOString() }));
const listingSchema = z.object({ entries: z.array(z.unknown()).max(listingMaxEntries), truncated: z.boolean() });

/** `turn` resolves when a piece of work may be done. Throws `host_unavailable` for what is no listing. */
export async function readListing(
  chunks: AsyncIterable<Buffer>,
  turn: () => Promise<void>,
): Promise<Pick<DirectoryListing, "entries" | "truncated">> {
  const bytes = await collect(chunks, listingMaxBytes);
  if (!bytes) throw misread();
  const scan = new JsonScan(maxDepth);
  for (let at = 0; at < bytes.length; at += bytesAtOnce) {
    await turn();
    scan.push(bytes.subarray(at, at + bytesAtOnce));
  }
  if (!scan.isObject() || scan.values() > listingMaxEntries * entryValues) throw misread();
  await turn();
  const { entries: told, truncated } = parse(listingSchema, JSON.parse(bytes.toString()));
  const entries: DirectoryListing["entries"] = [];
  for (let at = 0; at < told.length; at += entriesAtOnce) {
    await turn();
    entries.push(...told.slice(at, at + entriesAtOnce).map((entry) => parse(entrySchema, entry)));
  }
  return { entries, truncated };
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const { success, data } = schema.safeParse(value);
  if (!success) throw misread();
  return data;
}

const misread = () =>
  new AppError("host_unavailable", "The directory's listing did not come whole: try again.", { retryAfter: 2 });
