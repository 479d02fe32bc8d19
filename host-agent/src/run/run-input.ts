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
import { append, runDirectory } from "./run-files.ts";

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

/** The messages among what a run was told, as lines: for the run that goes on with its turn. */
export function messagesOf(volume: Volume, runId: string): string {
  const lines = (said(volume, runId) ?? "").split("\n").filter((line) => line.startsWith('{"type":"user"'));
  return lines.map((line) => `${line}\n`).join("");
}

const isClosed = (text: string) => text === "\n" || text.endsWith("\n\n");

/** Whether these words are in a line that the run was told. */
export function wasTold(volume: Volume, runId: string, words: string): boolean {
  return said(volume, runId)?.includes(words) ?? false;
}

/** Whether it was told more than what it was started with. */
export function wasToldMore(volume: Volume, runId: string, first: string): boolean {
  return (said(volume, runId) ?? "").length > first.length;
}

/** Tells the run one line. Throws `conflict` where it takes none any more. */
export function tell(volume: Volume, runId: string, line: string, most = mostBytes): void {
  const text = said(volume, runId);
  if (text === null) throw new AppError("conflict", "The run takes no messages: send a new one when it is over.");
  if (isClosed(text)) throw new AppError("conflict", "The run is just ending: send a new message.");
  if (Buffer.byteLength(text) + Buffer.byteLength(line) > most)
    throw new AppError("conflict", "The run was told 1 MiB already: send a new message when it is over.");
  add(volume, runId, `${line}\n`);
}

/** Ends what the run is told: its CLI does what it has, and ends. Repeating it is fine. */
export function endInput(volume: Volume, runId: string): void {
  const text = said(volume, runId);
  if (text !== null && !isClosed(text)) add(volume, runId, "\n");
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
