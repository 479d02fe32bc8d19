/** An agent's files, what git says of them, and terminals, as the contract shows them, and how a path travels in a URL. */
import { z } from "zod";
import { time } from "./values.ts";

/** Bytes of one upload. */
export const fileMaxBytes = 2 ** 30;
/** Entries of one listing; what is over is left out, and said. */
export const listingMaxEntries = 10_000;
const pathMaxBytes = 4096;

const fileKind = z.enum(["file", "directory", "link", "other"]);

/** What an upload made. `size` in bytes. */
export const fileSchema = z.object({ path: z.string(), type: fileKind, size: z.int(), modifiedAt: time });
export type FileInfo = z.infer<typeof fileSchema>;

/** `encodedName` is there where the name is not UTF-8: the segment of a URL that stands for its bytes. */
export const fileEntry = z.object({
  name: z.string(),
  encodedName: z.string().optional(),
  type: fileKind,
  size: z.int(),
  modifiedAt: time,
});

export const directoryListing = z.object({
  path: z.string(),
  type: z.literal("directory"),
  entries: z.array(fileEntry),
  truncated: z.boolean(),
});
export type DirectoryListing = z.infer<typeof directoryListing>;

export const archiveFormat = z.enum(["tar", "zip"]);
export type ArchiveFormat = z.infer<typeof archiveFormat>;

/** Changes of one answer; what is over is left out, and said. */
export const changesMax = 2000;

/**
 * `from` is what a renamed file was called. Counts are of lines; null where they were not counted. `untracked` is what git was not told
 * of yet.
 */
const changeSchema = z.object({
  path: z.string(),
  from: z.string().nullable(),
  status: z.enum(["added", "modified", "deleted", "renamed", "untracked"]),
  additions: z.int().nullable(),
  deletions: z.int().nullable(),
  isBinary: z.boolean(),
});
export type Change = z.infer<typeof changeSchema>;

/** As a change names it: relative to the top of the repository. */
export const changePath = z.string().min(1).max(pathMaxBytes);

/** `root` is where the repository is below the agent's own directory, as in paths of files; null where it is elsewhere. `reason` says why something is missing. */
export const changesSchema = z.object({
  branch: z.string().nullable(),
  root: z.string().nullable(),
  items: z.array(changeSchema),
  isComplete: z.boolean(),
  reason: z.enum(["no_repository", "too_many", "took_too_long", "unreadable"]).nullable(),
});
export type Changes = z.infer<typeof changesSchema>;

/** A relative path of bytes: file names are bytes, not text. */
export interface FilePath {
  bytes: Uint8Array;
  /** For people: bytes that are not UTF-8 as U+FFFD. */
  text: string;
  /** Written with a slash at its end. */
  isDirectory: boolean;
}

/**
 * A path as it stands in a URL: segments in percent-encoding, a slash at its end allowed. Each segment is decoded by
 * itself; what would leave the directory is refused. The empty path is the directory itself.
 */
export const filePath = z.string().transform((written, context): FilePath => {
  const names = written === "" ? [] : written.replace(/\/$/, "").split("/").map(decodeSegment);
  const bytes = joinNames(names.filter((name) => name !== null));
  if (names.includes(null) || bytes.length > pathMaxBytes) {
    const message =
      "must be a relative path of at most 4096 bytes, in percent-encoding, without empty segments, . and ..";
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  }
  return { bytes, text: new TextDecoder().decode(bytes), isDirectory: written.endsWith("/") };
});

/** Text frames of a terminal, client to host; binary frames are the bytes. */
export const terminalSize = z.object({ cols: z.int().min(1).max(1000), rows: z.int().min(1).max(1000) });
export type TerminalSize = z.infer<typeof terminalSize>;
export const terminalFrame = terminalSize.extend({ type: z.literal("resize") }).strict();
/** Text frames of a terminal, host to client. `code` is null where the container is gone and nobody can know it. */
export type TerminalServerFrame =
  | { type: "exit"; code: number | null }
  | { type: "error"; code: string; detail: string };

/** The bytes of one name; null for what no name may be. */
function decodeSegment(segment: string): Uint8Array | null {
  const source = new TextEncoder().encode(segment);
  const name: number[] = [];
  for (let at = 0; at < source.length; at++) {
    if (source[at] !== 0x25) {
      name.push(source[at]!);
      continue;
    }
    const digits = String.fromCharCode(source[at + 1] ?? 0, source[at + 2] ?? 0);
    if (!/^[0-9A-Fa-f]{2}$/.test(digits)) return null;
    name.push(Number.parseInt(digits, 16));
    at += 2;
  }
  const isDots = name.length <= 2 && name.every((byte) => byte === 0x2e);
  return isDots || name.includes(0) || name.includes(0x2f) ? null : Uint8Array.from(name);
}

function joinNames(names: Uint8Array[]): Uint8Array {
  const joined: number[] = [];
  for (const name of names) joined.push(...(joined.length > 0 ? [0x2f] : []), ...name);
  return Uint8Array.from(joined);
}
