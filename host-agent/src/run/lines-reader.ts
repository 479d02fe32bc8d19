/**
 * What the lines of one run tell of it, read once: by the monitor while it goes on, and by who settles it from there. The
 * agent can write lines of its own, of any length and shape: what is looked at is bounded.
 */
import { join } from "node:path";
import type { HostContext } from "../context/context.ts";
import type { AgentRow } from "../store/rows.ts";
import type { LinesSeen } from "../runtimes/runtime.ts";
import { runtimes } from "../runtimes/runtimes.ts";
import type { Volume } from "../workspace/volume.ts";
import { type OutputLine, readLines, splitLines, textOf } from "./run-log.ts";
import { runDirectory } from "./run-files.ts";

export type LinesReader = ReturnType<typeof createLinesReader>;

const bytesAtOnce = 2 ** 20;
const restBytes = 4 * 2 ** 20;
/** A longer line, or one of more values, tells only that the CLI has begun. */
const longestBytes = 2 * 2 ** 20;
const mostValues = 2000;

export const nothingSeen = (): LinesSeen => ({
  hasStarted: false,
  hasAnswered: false,
  result: null,
  isInTurn: false,
  backgroundTasks: 0,
  sessionId: null,
  isDone: false,
  taken: [],
  asks: [],
});

export function createLinesReader({ turns }: HostContext, volume: Volume, runId: string, agent: AgentRow) {
  const runtime = runtimes[agent.runtime];
  const path = join(runDirectory(volume, runId), "out");
  const turn = () => turns(agent.userId);
  const seen = nothingSeen();
  let position = { at: 0, searched: 0 };

  async function readUpTo(limitBytes: number, sealedBytes: number | null): Promise<void> {
    const { speaksJson } = runtime;
    const source = {
      path,
      speaksJson,
      sealedBytes: () => sealedBytes,
      limitBytes,
      longestLineBytes: longestBytes,
      turn,
    };
    const batches = readLines(source, position, splitLines);
    for (let batch = await batches.next(); ; batch = await batches.next()) {
      if (batch.done) return void (position = batch.value);
      for (const line of batch.value) Object.assign(seen, await look(line));
    }
  }
  async function look({ data, values }: OutputLine): Promise<Partial<LinesSeen> | null> {
    if (values === null || values > mostValues) return { hasStarted: true, hasAnswered: true };
    if (values > mostValues / 10) await turn();
    return runtime.readLine(await textOf(data), seen);
  }
  return {
    seen,
    /** Reads on, a bounded amount; true if there is more. */
    async read(): Promise<boolean> {
      const limit = position.searched + bytesAtOnce;
      await readUpTo(limit, null);
      return position.searched >= limit;
    },
    /** Reads what is unread of a sealed log; of very much, the end. */
    async readRest(sealedBytes: number): Promise<void> {
      const at = Math.max(position.at, sealedBytes - restBytes);
      position = { at, searched: Math.max(at, position.searched) };
      await readUpTo(Infinity, sealedBytes);
    },
  };
}
