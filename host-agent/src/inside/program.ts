/** A short program of ours in the workspace, as the agent: what it says is bounded, for the agent may speak in its place. */
import { randomText } from "@berth/shared/ids";
import { readOutput } from "../machine/exec-output.ts";
import { transferGid } from "../store/uids.ts";
import { homeOf, toLines } from "../workspace/environment.ts";
import { endStarted, type Entry, type EntryDeps, startAttached } from "./entry.ts";

export interface Program {
  command: string[];
  env: Record<string, string>;
  /** Of what it says; it is ended at the first piece beyond. */
  maxBytes: number;
}

/** The agent can stop it, whatever bounds it inside. */
const deadlineMs = 30_000;

/** What it said, and why that may not be all: it said more than is wanted, or ended without `done` as its last word on standard error. */
export async function runProgram(deps: EntryDeps, entry: Entry, { command, env, maxBytes }: Program) {
  const { agent } = entry;
  const marker = `BERTH_TRANSFER=${randomText(20)}`;
  // Nothing of the agent's own environment: its PATH or LD_PRELOAD would decide what is executed.
  const lines = toLines({ HOME: homeOf(agent), PATH: "/usr/bin:/bin", ...env });
  const spec = { command, uid: agent.uid, gid: transferGid, workingDir: "/", attach: "streams" as const };
  const { execId, stream } = await startAttached(deps, entry, { ...spec, env: [...lines, marker] });
  const late = setTimeout(() => stream.destroy(), deadlineMs);
  const pieces: Buffer[] = [];
  let [length, isWhole] = [0, true];
  try {
    for await (const piece of readOutput(stream, "done")) {
      pieces.push(piece);
      length += piece.length;
      if (length > maxBytes) break;
    }
  } catch {
    isWhole = false;
  } finally {
    clearTimeout(late);
    stream.destroy();
    await endStarted(deps, { ...entry, execId, gid: transferGid, marker }, 0);
  }
  return { said: Buffer.concat(pieces).subarray(0, maxBytes), isLong: length > maxBytes, isWhole };
}
