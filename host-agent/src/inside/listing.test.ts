import { expect, test } from "vitest";
import { listingMaxEntries } from "@berth/shared/files";
import { listingMaxBytes, readListing } from "./listing.ts";

let turns: number;
const read = async (text: string) => {
  turns = 0;
  const pieces = (async function* () {
    for (let at = 0; at < text.length; at += 100_000) yield Buffer.from(text.slice(at, at + 100_000));
  })();
  return readListing(pieces, () => Promise.resolve(void turns++));
};
const entry = (name: string) => ({ name, type: "file", size: 1, modifiedMs: 0 });
const listing = (entries: unknown[]) => JSON.stringify({ truncated: false, entries });

test("a listing is read whole, a piece at a time", async () => {
  const names = Array.from({ length: listingMaxEntries }, (_, at) => `file-${at}`);
  const { entries, truncated } = await read(listing(names.map(entry)));
  expect([entries.map(({ name }) => name), truncated]).toEqual([names, false]);
  expect(entries[0]).toEqual({ name: "file-0", type: "file", size: 1, modifiedAt: "1970-01-01T00:00:00.000Z" });
  expect(turns).toBeGreaterThan(20);
});

test("what an agent says in its place is refused before anything is made of it", async () => {
  const misread = { code: "host_unavailable" };
  const forged = [
    `{"truncated":false,"entries":[${"[],".repeat(2_000_000)}[]]}`,
    `{"truncated":false,"entries":[${"[".repeat(100_000)}`,
    `{"truncated":false,"entries":${"[".repeat(10)}${"]".repeat(10)}}`,
    listing([{ ...entry("a"), modifiedMs: 9e15 }]),
    listing([{ ...entry("a"), size: "1" }]),
    listing([null]),
    listing(Array.from({ length: listingMaxEntries + 1 }, () => entry("a"))),
    `{"truncated":false,"entries":[]}${" ".repeat(listingMaxBytes)}`,
    "[]",
    "",
    '{"entries":[',
  ];
  for (const text of forged) await expect(read(text)).rejects.toMatchObject(misread);
});
