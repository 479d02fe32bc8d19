/**
 * What a run is told after it has begun: the file `in` beside its output, which root alone appends to and the run's wrapper
 * follows into the CLI's standard input. An empty line is the end. Nothing of it is in memory: whichever process of the host
 * agent comes next finds what was said, and the run that waits for a word outlives them all.
 */
import { closeSync, constants, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "@berth/shared/errors";
import { atOnce, held, isCode, unlessCode } from "../machine/missing.ts";
import type { Volume } from "../workspace/volume.ts";
import { append, inputRoom, isOutOfSpace, makeRoom, runDirectory } from "./run-files.ts";

/** What one run is told, all together; beyond it there is room for what it waits for alone: however much was said, it can be answered and stopped. */
const mostBytes = 2 ** 20;
export const mostOfAnswers = 2 * mostBytes;

const pathOf = (volume: Volume, runId: string) => join(runDirectory(volume, runId), "in");

/** Bytes that the run was told so far; it changes with each word. */
export const toldBytes = (volume: Volume, runId: string): number =>
  statSync(pathOf(volume, runId), { throwIfNoEntry: false })?.size ?? 0;

/** What was said so far; null where the run takes nothing. Throws `conflict` where its agent keeps it from us. */
export function said(volume: Volume, runId: string): string | null {
  const open = () => openSync(pathOf(volume, runId), constants.O_RDONLY | constants.O_NOFOLLOW | atOnce);
  const file = unlessCode(null, () => orConflict(open), "ENOENT");
  if (file === null) return null;
  try {
    return readFileSync(file, "utf8");
  } finally {
    closeSync(file);
  }
}

/** The messages among what a run was told, as lines: for the run that goes on with its turn. Half a line is none. */
export function messagesOf(volume: Volume, runId: string): string {
  const lines = linesOf(said(volume, runId) ?? "").filter((line) => line.startsWith('{"type":"user"'));
  return lines.map((line) => `${line}\n`).join("");
}

const linesOf = (text: string) => text.split("\n").slice(0, -1);
/** What a process that was killed as it wrote has left. */
const halfOf = (text: string) => text.slice(text.lastIndexOf("\n") + 1);

const isClosed = (text: string) => text === "\n" || text.endsWith("\n\n");

/** Whether these words are in a line that the run was told, to its end. */
export const wasTold = (volume: Volume, runId: string, words: string): boolean =>
  hasLineWith(said(volume, runId) ?? "", words);
const hasLineWith = (text: string, words: string) => linesOf(text).some((line) => line.includes(words));

export interface Telling {
  most?: number | undefined;
  /** Words by which the line is known: who was told them already is told nothing, whoever told them meanwhile. */
  once?: string | undefined;
}

/**
 * Tells the run one line, whole or not at all: its room is taken before it. After half a line the same one is told to its end, and no other.
 * Answers whether it was told now. Throws `conflict` where the run takes none any more.
 */
export async function tell(
  volume: Volume,
  runId: string,
  line: string,
  { most = mostBytes, once }: Telling = {},
): Promise<boolean> {
  await takeRoom(volume, runId, Buffer.byteLength(line) + 1);
  const text = said(volume, runId);
  if (text === null) throw new AppError("conflict", "The run takes no messages: send a new one when it is over.");
  if (once !== undefined && hasLineWith(text, once)) return false;
  if (isClosed(text)) throw new AppError("conflict", "The run is just ending: send a new message.");
  if (Buffer.byteLength(text) + Buffer.byteLength(line) > most)
    throw new AppError("conflict", "The run was told 1 MiB already: send a new message when it is over.");
  const half = halfOf(text);
  if (!line.startsWith(half))
    throw new AppError("conflict", "The run was told half a message: send that again, or cancel the run.");
  add(volume, runId, `${line.slice(half.length)}\n`);
  return true;
}

/** Who was told something else meanwhile has used that room. What keeps us from it otherwise keeps us from writing too, and is said then. */
async function takeRoom(volume: Volume, runId: string, bytes: number): Promise<void> {
  for (let size = -1; size !== toldBytes(volume, runId);) {
    size = toldBytes(volume, runId);
    if (size + bytes <= inputRoom || size + bytes > mostOfAnswers) continue;
    await makeRoom(pathOf(volume, runId), size + bytes).catch((error: unknown) => {
      if (isOutOfSpace(error)) throw error;
    });
  }
}

/** Ends what the run is told: its CLI does what it has, and ends. Repeating it is fine. */
export function endInput(volume: Volume, runId: string): void {
  const text = said(volume, runId);
  if (text !== null && !isClosed(text)) add(volume, runId, halfOf(text) === "" ? "\n" : "\n\n");
}

const add = (volume: Volume, runId: string, text: string) => orConflict(() => append(pathOf(volume, runId), text, 0));

/** Of a run that is over the file is sealed, a moment before its end is stored. */
function orConflict<T>(open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (isCode(error, "EPERM"))
      throw new AppError("conflict", "The run is just ending: send a new message.", {}, { cause: error });
    if (isCode(error, held))
      throw new AppError("conflict", "The run keeps itself from being told anything: cancel it.", {}, { cause: error });
    throw error;
  }
}
