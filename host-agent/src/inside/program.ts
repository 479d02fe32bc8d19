/**
 * A short program of ours in the workspace, as the agent: what it says is bounded, for the agent may speak in its place. It reads what is
 * the agent's, and stopped at the right moment may be had to execute it: of an agent there is one at a time, and nothing outlives it.
 */
import { readOutput } from "../machine/exec-output.ts";
import { programGid } from "../store/uids.ts";
import { homeOf, processLimit, toLines } from "../workspace/environment.ts";
import { endStarted, type Entry, type EntryDeps, startAttached } from "./entry.ts";

export interface Program {
  command: string[];
  env: Record<string, string>;
  /** Of what it says; it is ended at the first piece beyond. */
  maxBytes: number;
}

/** The agent can stop it, whatever bounds it inside. */
const deadlineMs = 30_000;

/** As of a run; `-p` is this shell's word for processes. */
const limited = 'ulimit -c 0; ulimit -p "$0"; exec "$@"';

/** What it said, and why that may not be all: it said more than is wanted, or ended without `done` as its last word on standard error. */
export function runProgram(deps: EntryDeps, entry: Entry, program: Program) {
  return deps.programs(entry.agent.id, () => run(deps, entry, program));
}

async function run(deps: EntryDeps, entry: Entry, { command, env, maxBytes }: Program) {
  const { agent } = entry;
  // Nothing of the agent's own environment: its PATH or LD_PRELOAD would decide what is executed.
  const { execId, stream } = await startAttached(deps, entry, {
    command: ["/bin/sh", "-c", limited, processLimit(deps.context.settings), ...command],
    env: toLines({ HOME: homeOf(agent), PATH: "/usr/bin:/bin", ...env }),
    uid: agent.uid,
    gid: programGid,
    workingDir: "/",
    attach: "streams",
  });
  const late = setTimeout(() => stream.destroy(), deadlineMs);
  const pieces: Buffer[] = [];
  let [length, isWhole] = [0, true];
  try {
    for await (const piece of readOutput(stream)) {
      pieces.push(piece);
      length += piece.length;
      if (length > maxBytes) break;
    }
  } catch {
    isWhole = false;
  } finally {
    clearTimeout(late);
    stream.destroy();
    await endStarted(deps, { ...entry, execId, gid: programGid, marker: null }, 0);
  }
  return { said: Buffer.concat(pieces).subarray(0, maxBytes), isLong: length > maxBytes, isWhole };
}
