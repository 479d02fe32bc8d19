/**
 * A turn under way: what its run waits for, what its user tells it, and when it is over. What the CLI asks stands in the run's
 * output, what it was told in its input: both are files, so any process of the host agent reads the same.
 */
import { join } from "node:path";
import { AppError } from "@berth/shared/errors";
import type { AnswerBody, ContextUse } from "@berth/shared/resources";
import { messageOf } from "@berth/shared/log";
import { sleep } from "@berth/shared/wait";
import type { HostContext } from "../context/context.ts";
import type { AgentRow, RunRow } from "../store/rows.ts";
import type { Store } from "../store/store.ts";
import type { Input } from "../workspace/control-protocol.ts";
import { runtimes } from "../workspace/runtimes.ts";
import { diskUse, type Volume } from "../workspace/volume.ts";
import type { Volumes } from "../workspace/volumes.ts";
import type { LinesReader } from "./lines-reader.ts";
import { isOutOfSpace, logSizes, readBeginning, runDirectory } from "./run-files.ts";
import { readTail } from "./run-log.ts";
import { endInput, tell, wasTold } from "./run-input.ts";

/** How long a CLI has to count its context, how often that is looked for, and how much of what it says meanwhile is read. */
const [contextMs, lookMs, mostContextBytes] = [20_000, 100, 2 ** 20];

interface Watched {
  run: RunRow;
  agent: AgentRow;
  volume: Volume;
  lines: LinesReader;
}
export interface TurnDeps {
  context: HostContext;
  store: Store;
  volumes: Volumes;
}

/** Tells what the run waits for now, and ends its input once its turn is over. Never throws: it only decorates a run. */
export function followTurn(deps: Pick<TurnDeps, "context" | "store">, watched: Watched): void {
  const { input } = runtimes[watched.agent.runtime];
  const { run, lines } = watched;
  if (!input) return;
  try {
    tellWaiting(deps, watched, input);
    const { result, isInTurn, isDone, backgroundTasks, taken } = lines.seen;
    const isOver = ((result && !isInTurn) || isDone) && backgroundTasks === 0 && taken.length === 0;
    // On a full disk the CLI cannot say that its turn is over: it does what it has, and ends by itself.
    if (isOver || diskUse(watched.volume.root)?.isFull) endInput(watched.volume, run.id);
  } catch (error) {
    deps.context.log.warn("run.turn_not_followed", { runId: run.id, error: messageOf(error) });
  }
}

function tellWaiting({ context, store }: Pick<TurnDeps, "context" | "store">, watched: Watched, input: Input): void {
  const { run, volume, lines } = watched;
  const open = lines.seen.asks.filter(({ requestId }) => !wasTold(volume, run.id, input.answerTo(requestId)));
  for (const { kind, requestId } of open) if (kind === null) tell(volume, run.id, input.refuse(requestId));
  const ask = open.find(({ kind }) => kind !== null);
  if ((store.getRun(run.id)!.waitingFor?.requestId ?? null) === (ask?.requestId ?? null)) return;
  const waitingFor = ask ? { ...ask, kind: ask.kind!, since: context.clock.iso() } : null;
  if (store.updateRun(run.id, { waitingFor })) emit(context, run);
}

/** Says a word into the run's turn; `messageId` is a UUID, and the same one again says nothing more. Throws `conflict`. */
export async function sayTo(deps: TurnDeps, run: RunRow, messageId: string, text: string): Promise<void> {
  const { input, volume } = await listening(deps, run);
  if (!wasTold(volume, run.id, messageId)) write(volume, run, input.message(messageId, text));
}

/** Answers what the run waits for. Throws `conflict` where it does not wait for that. */
export async function answer(deps: TurnDeps, run: RunRow, body: AnswerBody): Promise<RunRow> {
  const { input, volume } = await listening(deps, run);
  const waiting = deps.store.getRun(run.id)!.waitingFor;
  if (waiting?.requestId !== body.requestId)
    throw new AppError("conflict", "The run does not wait for this: it was answered already, or is asked no more.");
  write(volume, run, input.answer(body, waiting.input));
  const told = deps.store.updateRun(run.id, { waitingFor: null });
  emit(deps.context, run);
  return told ?? deps.store.getRun(run.id)!;
}

/** Asks the CLI to stop its turn; false where it cannot be asked. */
export async function askToStop(deps: TurnDeps, run: RunRow): Promise<boolean> {
  try {
    const { input, volume } = await listening(deps, run);
    if (!input.takesInterrupt(readBeginning(volume, run.id))) return false;
    write(volume, run, input.interrupt());
    return true;
  } catch (error) {
    if (error instanceof AppError) return false;
    throw error;
  }
}

/** Asks the CLI what its conversation takes of its model's context. Throws `conflict` where there is none to ask, or none that answers. */
export async function askContext(deps: TurnDeps, run: RunRow): Promise<ContextUse> {
  const { input, volume } = await listening(deps, run);
  const requestId = crypto.randomUUID();
  const before = logSizes(volume, run.id).out;
  write(volume, run, input.askContext(requestId));
  const deadline = performance.now() + contextMs;
  while (performance.now() < deadline) {
    const bytes = Math.min(logSizes(volume, run.id).out - before, mostContextBytes);
    const said = bytes > 0 ? await readTail(join(runDirectory(volume, run.id), "out"), bytes) : "";
    const use = input.contextIn(said, requestId);
    if (use) return use;
    await sleep(lookMs);
  }
  throw new AppError("conflict", "The agent does not say it now: ask again in a moment.");
}

async function listening({ store, volumes }: TurnDeps, run: RunRow): Promise<{ input: Input; volume: Volume }> {
  const { input } = runtimes[store.getAgent(run.agentId)!.runtime];
  if (run.endedAt) throw new AppError("conflict", "The run has ended already.");
  if (!input) throw new AppError("conflict", "A run of this kind of agent takes no messages.");
  if (!run.startedAt) throw new AppError("conflict", "The run has not started yet: try again in a moment.");
  return { input, volume: await volumes.ensure(run.userId) };
}

function write(volume: Volume, run: RunRow, line: string): void {
  try {
    tell(volume, run.id, line);
  } catch (error) {
    if (!isOutOfSpace(error)) throw error;
    throw new AppError("conflict", "The workspace's disk is full: delete files first.", {}, { cause: error });
  }
}

function emit({ bus }: HostContext, run: RunRow): void {
  bus.emit(`run:${run.id}`, `user:${run.userId}`, "host");
}
