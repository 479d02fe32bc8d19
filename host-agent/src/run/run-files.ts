/**
 * The files of one run, in a directory of root's that its agent cannot write to: what it is given, what it says, how it
 * ended. Every open here is of a name that no agent can have made.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { parseSmall } from "@berth/shared/bounds/json-scan";
import { randomText } from "@berth/shared/ids";
import { messageOf } from "@berth/shared/log";
import { runReasons } from "@berth/shared/resources";
import { time } from "@berth/shared/values";
import { z } from "zod";
import { atOnce, held, ifMissing, isCode, isThere, unlessCode } from "../machine/missing.ts";
import { ProgramError, runProgram } from "../machine/programs.ts";
import { spareEnds, type Volume } from "../workspace/volume.ts";
import { runGid } from "../store/uids.ts";
import type { Exit } from "./decide.ts";

/** Files of one run under `runs/<id>`. */
export interface RunFiles {
  /** What its processes show at the model; root's, for who takes them up with an older copy of the database. */
  token: string;
  /** The container that its exec is made in; root's, for the same. */
  container: string;
  /** Null of what is started ahead of one. */
  prompt: string | null;
  /** Where the agent finds them, a line each; null where the message has none. */
  attachments: string | null;
  payload: Uint8Array | null;
  /** The agent's environment as the text of a `.env` file. */
  env: string;
  /** As its CLI reads them; null where it takes none. */
  instructions: string | null;
  /** What it is told while it goes on, and was told so far; null where it takes none. */
  in: string | null;
}

/** Bytes of `in` that have room from the start. */
export const inputRoom = 4096;

/** Of what is started ahead of a run: nobody asks for one of this name. */
export const newAheadName = () => `ahead_${randomText(20)}`;
export const isAheadName = (name: string) => name.startsWith("ahead_");

export const runDirectory = (volume: Volume, runId: string) => join(volume.runs, runId);

/**
 * Makes the files of a run, before its exec is created. What an interrupted attempt left is replaced: no process can
 * have used it yet. On a disk that is full meanwhile the run can still say its first words and its exit code: `out` has
 * room beyond its end, and `exit` and `end` start with one byte, so that their blocks exist.
 */
export async function makeRunFiles(volume: Volume, runId: string, uid: number, files: RunFiles): Promise<void> {
  const dir = runDirectory(volume, runId);
  await removeRunFiles(volume, runId);
  mkdirSync(dir, { mode: 0o711 });
  chmodSync(dir, 0o711);
  const { token, container, ...forAgent } = files;
  for (const [name, text, owner] of [
    ["out", "", uid],
    ["err", "", uid],
    ["exit", "\n", uid],
    ["end", "\n", 0],
    ["token", token, 0],
    ["container", container, 0],
  ] as const)
    writeNew(join(dir, name), text, 0o600, owner);
  const given = Object.entries(forAgent).filter((entry): entry is [string, string | Uint8Array] => entry[1] !== null);
  for (const [name, text] of given) writeNew(join(dir, name), text, 0o400, uid);
  // `env` goes with the run, and `in` grows by us alone; what stays can be neither grown nor kept from anybody.
  const kept = given.map(([name]) => name).filter((name) => name !== "env" && name !== "in");
  const here = (...names: string[]) => names.map((name) => join(dir, name));
  const grown = files.in === null ? ["out"] : ["out", "in"];
  const beside = [
    ...grown.map((name) => makeRoom(join(dir, name), name === "out" ? 8192 : inputRoom)),
    runProgram("chattr", "+a", ...here(...grown, "err", "exit")),
    kept.length > 0 && runProgram("chattr", "+i", ...here(...kept)),
  ];
  // All to their end: a late one would meet the files of the next attempt.
  await Promise.allSettled(beside);
  await Promise.all(beside);
}

/** Whether the run was given one; it stays for as long as the run's files do. */
export const hasPayload = (volume: Volume, runId: string) => isThere(join(runDirectory(volume, runId), "payload"));

/** EDQUOT, for which Node has no name. */
const quotaExceeded = -122;

/**
 * Whether something could not be written because the disk that it is on is full to its last block, or its agent's part of it: root may go beyond
 * that only with CAP_SYS_RESOURCE, which a host agent in a container may lack.
 */
export const isOutOfSpace = (error: unknown) =>
  isCode(error, "ENOSPC") ||
  (error as NodeJS.ErrnoException).errno === quotaExceeded ||
  (error instanceof ProgramError && /No space left on device|Disk quota exceeded/.test(error.message));

/** The user's own disk has no room for what a run needs to begin. Thrown of nothing else: another disk may be full too. */
export class VolumeFullError extends Error {}

/** For a job whose every write is on the user's volume. */
export async function onVolume<T>(job: () => T | Promise<T>): Promise<T> {
  try {
    return await job();
  } catch (error) {
    throw isOutOfSpace(error) ? new VolumeFullError(messageOf(error), { cause: error }) : error;
  }
}

/** Blocks beyond a file's end are its own: appending to it takes no other. */
export const makeRoom = (path: string, bytes: number) => runProgram("fallocate", "-n", "-l", String(bytes), path);

/** Null where the files are those of a run that has ended. */
const readToken = (volume: Volume, runId: string): string | null =>
  readText(join(runDirectory(volume, runId), "token"), 100) || null;

/** Null where there are none, or those of a run of before they told it. */
const readContainer = (volume: Volume, runId: string): string | null =>
  readText(join(runDirectory(volume, runId), "container"), 100) || null;

/** More than the wrapper writes into `exit`; the agent can append to it. */
const exitBytes = 200;

/**
 * What `exit` says: whether the run began, the exit code once it is over, and whether its process was started ahead of it. One that
 * keeps us from reading it has begun.
 */
export function readExit(volume: Volume, runId: string): Exit & { isAhead: boolean } {
  const text = unlessCode("\nheld\n", () => readText(join(runDirectory(volume, runId), "exit"), exitBytes), held);
  const code = /^(\d{1,3})\n/m.exec(text)?.[1];
  const isAhead = text.startsWith("\nahead\n");
  const hasBegun = isAhead ? text.includes("\nbegun\n") : text.length > 1;
  return { hasBegun, code: code === undefined ? null : Number(code), isAhead };
}

/** The beginning of a file; empty where there is none. */
function readText(path: string, maxBytes: number): string {
  const file = unlessCode(null, () => openSync(path, constants.O_RDONLY | atOnce), "ENOENT");
  if (file === null) return "";
  try {
    const bytes = Buffer.allocUnsafe(Math.min(maxBytes, fstatSync(file).size));
    return bytes.toString("latin1", 0, readSync(file, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(file);
  }
}

const endSchema = z.object({ reason: z.enum(runReasons), exitCode: z.int().nullable(), endedAt: time });
export type NotedEnd = z.infer<typeof endSchema>;
const endBytes = 1000;
const spareBytes = 4096;

/**
 * Notes how the run ended, where the run lies, before the end is stored and told: an older copy of the host's database decides no
 * other, and begins nothing that has ended. Written at once; resolves when a power cut takes it back no more.
 */
export function noteEnd(volume: Volume, runId: string, end: NotedEnd): Promise<void> {
  try {
    mkdirSync(runDirectory(volume, runId), { recursive: true, mode: 0o711 });
    return noteIn(join(runDirectory(volume, runId), "end"), JSON.stringify(end));
  } catch (error) {
    if (!isOutOfSpace(error) || !isThere(spareEnds(volume))) throw error;
    // More than the block that is its own would need another; the oldest are the least likely to be asked for.
    if (statSync(spareEnds(volume)).size > spareBytes - endBytes) truncateSync(spareEnds(volume), 1);
    return noteIn(spareEnds(volume), JSON.stringify({ runId, ...end }));
  }
}

function noteIn(path: string, line: string): Promise<void> {
  append(path, `${line}\n`);
  return syncFile(path);
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** Null where none was noted. */
export function readEnd(volume: Volume, runId: string): NotedEnd | null {
  const parse = (line: string) => endSchema.safeParse(parseSmall(line, spareBytes)).data ?? [];
  const [own] = linesOf(join(runDirectory(volume, runId), "end"), endBytes).flatMap(parse);
  if (own) return own;
  const spare = linesOf(spareEnds(volume), spareBytes).filter((line) => line.startsWith(`{"runId":"${runId}",`));
  return spare.flatMap(parse)[0] ?? null;
}

/** A file of a run's cannot be read now. */
export class UnreadableError extends Error {}

/** What a run's files say, for who looks at them again and again. */
export interface Traces {
  end(): NotedEnd | null;
  exit(): Exit & { isAhead: boolean; isUnread?: boolean };
  container(): string | null;
  token(): string | null;
  sizes(): { out: number; err: number };
}

/**
 * While it is patient with a file that cannot be read, that is thrown: it may be read later. From then on such a file says nothing, and
 * `tell` hears of it: neither does it end its run, nor keep it from its end. A run whose `exit` is one of them has begun, for nothing may begin twice.
 */
export function createTraces(
  volume: Volume,
  runId: string,
  isPatient: () => boolean,
  tell: (part: string, error: unknown) => void,
): Traces {
  const orNothing = <T>(part: string, nothing: T, read: (volume: Volume, runId: string) => T) => {
    return () => {
      try {
        return read(volume, runId);
      } catch (error) {
        if (isPatient()) throw new UnreadableError(`${part}: ${messageOf(error)}`, { cause: error });
        tell(part, error);
        return nothing;
      }
    };
  };
  return {
    end: orNothing("end", null, readEnd),
    exit: orNothing<ReturnType<Traces["exit"]>>(
      "exit",
      { hasBegun: true, code: null, isAhead: false, isUnread: true },
      readExit,
    ),
    container: orNothing("container", null, readContainer),
    token: orNothing("token", null, readToken),
    sizes: orNothing("log", { out: 0, err: 0 }, logSizes),
  };
}

/** Those that are whole. */
const linesOf = (path: string, maxBytes: number) => readText(path, maxBytes).split("\n").slice(0, -1);

/** What was started ahead begins to be a run: the trace that the wrapper leaves of others. */
export function noteBegun(volume: Volume, runId: string): void {
  append(join(runDirectory(volume, runId), "exit"), "begun\n", 0);
}

/** More than a CLI answers before it is asked anything. */
const beginningBytes = 2 ** 20;

/** The first of what it has said. */
export function readBeginning(volume: Volume, runId: string): string {
  return unlessCode("", () => readText(join(runDirectory(volume, runId), "out"), beginningBytes), held);
}

/** Takes out of the log what was said while nothing was asked. */
export async function emptyOut(volume: Volume, runId: string): Promise<void> {
  const empty = 'cd "$1" && chattr -a out && truncate -s 0 out && fallocate -n -l 8192 out && chattr +a out';
  await runProgram("sh", "-c", empty, "sh", runDirectory(volume, runId));
}

/** Bytes written to `out` and `err` so far. */
export function logSizes(volume: Volume, runId: string): { out: number; err: number } {
  const size = (name: string) =>
    statSync(join(runDirectory(volume, runId), name), { throwIfNoEntry: false })?.size ?? 0;
  return { out: size("out"), err: size("err") };
}

/**
 * Fixes a run's files for good: not even a descriptor that is still open can write to them. What `out` and `err` hold beyond
 * `limitBytes` goes: a fast writer writes on until it is ended. So do blocks that the agent has reserved beyond the end of a file.
 * The sizes of `out` and `err` from now on.
 */
export async function sealRunFiles(volume: Volume, runId: string, limitBytes: number) {
  // Values of variables stay no longer than the run that uses them, and its token.
  for (const name of ["env", "token"]) await rm(join(runDirectory(volume, runId), name), { force: true });
  const all = ["out", "err", "exit", "in"].map((name) => join(runDirectory(volume, runId), name));
  const there = all.filter(isThere);
  const mostOf = (path: string) => (path.endsWith("/exit") ? exitBytes : limitBytes);
  const long = there.filter((path) => takesMore(path, mostOf(path)));
  if (long.length > 0) {
    await runProgram("chattr", "-i", "-a", ...long);
    for (const path of long) await cut(path, mostOf(path));
  }
  if (there.length > 0) await runProgram("chattr", "+i", ...there);
  return logSizes(volume, runId);
}

/** Blocks of a file that are no sign of others beyond its end: those of `makeRoom`, those that list its blocks. */
const spareBlocks = 128;

function takesMore(path: string, mostBytes: number): boolean {
  const { size, blocks } = statSync(path);
  return size > mostBytes || blocks > (size / 512) * 1.02 + spareBlocks;
}

/** Removes a run's files; none is fine. */
export async function removeRunFiles(volume: Volume, runId: string): Promise<void> {
  const dir = runDirectory(volume, runId);
  if (!isThere(dir)) return;
  const names = (await readdir(dir)).map((name) => join(dir, name));
  if (names.length > 0) await unseal(names);
  await rm(dir, { recursive: true, force: true });
}

/**
 * Removes what a run of a deleted agent has, all but `exit` and `end`, the traces that it began and ended: an older copy of the host's
 * database must not start it again. None is fine.
 */
export async function emptyRunFiles(volume: Volume, runId: string): Promise<void> {
  const dir = runDirectory(volume, runId);
  const names = await readdir(dir).catch(ifMissing<string[]>([]));
  const isTrace = (name: string) => name === "exit" || name === "end";
  if (!names.some(isTrace)) return removeRunFiles(volume, runId);
  await unseal(names.map((name) => join(dir, name)));
  for (const name of names) if (!isTrace(name)) await rm(join(dir, name), { force: true });
  if (names.includes("exit")) await cut(join(dir, "exit"), exitBytes).catch(ifMissing(undefined));
}

/** Takes what it has beyond so many bytes, and blocks beyond its end. As truncate(2), which would wait for who holds a lease. */
async function cut(path: string, mostBytes: number): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_NOFOLLOW | atOnce);
  try {
    await file.truncate(Math.min((await file.stat()).size, mostBytes));
  } finally {
    await file.close();
  }
}

/** What goes meanwhile, by retention or by another deletion, needs it no more. */
async function unseal(names: string[]): Promise<void> {
  await runProgram("chattr", "-i", "-a", ...names).catch((error: unknown) => {
    if (names.every(isThere)) throw error;
  });
}

/** Appends to a file in one write, so that a reader that follows sees whole lines only; made with these flags where it is not there. */
export function append(path: string, text: string, make = constants.O_CREAT): void {
  const file = openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW | atOnce | make, 0o600);
  try {
    writeFileSync(file, text);
  } finally {
    closeSync(file);
  }
}

/** At once: a turn through the thread pool for each step costs more than the few steps on small files themselves. */
function writeNew(path: string, text: string | Uint8Array, mode: number, uid: number): void {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = openSync(path, flags, mode);
  try {
    if (text.length > 0) writeFileSync(file, text);
    fchownSync(file, uid, runGid);
  } finally {
    closeSync(file);
  }
}
