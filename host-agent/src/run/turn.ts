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
import type { Ask, Input } from "../runtimes/control-protocol.ts";
import { runtimes } from "../runtimes/runtimes.ts";
import { lookForRoom, type Volume } from "../workspace/volume.ts";
import type { Volumes } from "../workspace/volumes.ts";
import type { LinesReader } from "./lines-reader.ts";
import { isOutOfSpace, logSizes, readBeginning, runDirectory } from "./run-files.ts";
import { linesWith, readLines, textOf } from "./run-log.ts";
import { endInput, mostOfAnswers, said, tell, type Telling, toldBytes, wasTold } from "./run-input.ts";

/** How long a CLI has to count its context, how often that is looked for, how much is read at a look, and the longest line that it may say it in. */
const [contextMs, lookMs, lookBytes, longestContextBytes] = [20_000, 100, 2 ** 20, 2 ** 18];

interface Watched {
  run: RunRow;
  agent: AgentRow;
  volume: Volume;
  lines: LinesReader;
}
export interface TurnDeps {
  context: HostContext;
  store: Store;
  volumes: Pick<Volumes, "ensure">;
}

/** What its CLI asks and nobody here can answer is refused so often; the agent can write lines of its own. */
const mostRefusals = 100;

/** What was looked at last: with the same nothing is to be told anew. */
interface Told {
  asks: Ask[];
  bytes: number;
  refusals: number;
}

/**
 * A look at the run's turn: tells what the run waits for now, and ends its input once its turn is over. Never throws: it only
 * decorates a run; a failure is logged once until it heals. Many looks a second cost little: what was told is read where the CLI
 * has asked, or was told, something new.
 */
export function createTurnFollower(deps: Pick<TurnDeps, "context" | "store">, watched: Watched): () => Promise<void> {
  const { run, agent, volume, lines } = watched;
  const { input } = runtimes[agent.runtime];
  if (!input) return async () => undefined;
  const findsNoRoom = lookForRoom(volume.root, agent.uid);
  const told: Told = { asks: lines.seen.asks, bytes: -1, refusals: 0 };
  let isWell = true;
  return async () => {
    try {
      await tellWaiting(deps, watched, input, told);
      const { result, isInTurn, isDone, backgroundTasks, taken } = lines.seen;
      const isOver = ((result && !isInTurn) || isDone) && backgroundTasks === 0 && taken.length === 0;
      // On a full disk the CLI cannot say that its turn is over: it does what it has, and ends by itself.
      if (isOver || findsNoRoom()) endInput(volume, run.id);
      isWell = true;
    } catch (error) {
      if (isWell) deps.context.log.warn("run.turn_not_followed", { runId: run.id, error: messageOf(error) });
      isWell = false;
    }
  };
}

async function tellWaiting(
  { context, store }: Pick<TurnDeps, "context" | "store">,
  { run, volume, lines }: Watched,
  input: Input,
  told: Told,
): Promise<void> {
  const { asks } = lines.seen;
  const bytes = toldBytes(volume, run.id);
  if (asks === told.asks && bytes === told.bytes) return;
  const text = asks.length > 0 ? (said(volume, run.id) ?? "") : "";
  const open = asks.filter(({ requestId }) => !text.includes(input.answerTo(requestId)));
  for (const { requestId } of open.filter(({ kind }) => kind === null))
    if (told.refusals++ < mostRefusals) await tell(volume, run.id, input.refuse(requestId), { most: mostOfAnswers });
  const ask = open.find(({ kind }) => kind !== null);
  if ((store.getRun(run.id)!.waitingFor?.requestId ?? null) !== (ask?.requestId ?? null)) {
    const waitingFor = ask ? { ...ask, kind: ask.kind!, since: context.clock.iso() } : null;
    if (store.updateRun(run.id, { waitingFor })) context.bus.emitRun(run);
  }
  // Only now: what failed is looked at again.
  Object.assign(told, { asks, bytes });
}

/** Says a word into the run's turn; `messageId` is a UUID, and the same one again says nothing more. Throws `conflict`. */
export async function sayTo(deps: TurnDeps, run: RunRow, messageId: string, text: string): Promise<void> {
  const { input, volume } = await listening(deps, run);
  if (wasTold(volume, run.id, messageId)) return;
  const line = input.message(messageId, input.asText(readBeginning(volume, run.id), text));
  await write(volume, run, line, { once: messageId });
}

/** Answers what the run waits for. Throws `conflict` where it does not wait for that. */
export async function answer(deps: TurnDeps, run: RunRow, body: AnswerBody): Promise<RunRow> {
  const { input, volume } = await listening(deps, run);
  const waiting = deps.store.getRun(run.id)!.waitingFor;
  const isAsked = waiting?.requestId === body.requestId;
  // Of two that answer at once the other is told so.
  const once = { most: mostOfAnswers, once: input.answerTo(body.requestId) };
  if (!isAsked || !(await write(volume, run, input.answer(body), once)))
    throw new AppError("conflict", "The run does not wait for this: it was answered already, or is asked no more.");
  const told = deps.store.updateRun(run.id, { waitingFor: null });
  deps.context.bus.emitRun(run);
  return told ?? deps.store.getRun(run.id)!;
}

/** Asks the CLI to stop its turn; false where it cannot be asked. */
export async function askToStop(deps: TurnDeps, run: RunRow): Promise<boolean> {
  try {
    const { input, volume } = await listening(deps, run);
    if (!input.takesInterrupt(readBeginning(volume, run.id))) return false;
    await write(volume, run, input.interrupt(), { most: mostOfAnswers });
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
  await write(volume, run, input.askContext(requestId));
  const out = join(runDirectory(volume, run.id), "out");
  for await (const lines of linesFrom(deps, run, out, before, requestId))
    for (const line of lines) {
      const use = input.contextIn(typeof line === "string" ? line : await textOf(line.data), requestId);
      if (use === "unreadable") throw silent();
      if (use) return use;
    }
  throw silent();
}
const silent = () => new AppError("conflict", "The agent does not say it now: ask again in a moment.");

/** What the run says in the time for it, from there on: the lines that have the word, and each long one. The agent can say what it likes: a piece is read a turn. */
async function* linesFrom({ context }: TurnDeps, run: RunRow, path: string, at: number, word: string) {
  const deadline = performance.now() + contextMs;
  let position = { at, searched: at };
  while (performance.now() < deadline) {
    const source = {
      path,
      speaksJson: true,
      sealedBytes: () => null,
      limitBytes: position.searched + lookBytes,
      longestLineBytes: longestContextBytes,
      turn: () => context.turns(run.userId),
    };
    position = yield* readLines(source, position, linesWith(word));
    if (position.searched < source.limitBytes) await sleep(lookMs);
  }
}

async function listening({ store, volumes }: TurnDeps, run: RunRow): Promise<{ input: Input; volume: Volume }> {
  const { input } = runtimes[store.getAgent(run.agentId)!.runtime];
  if (run.endedAt) throw new AppError("conflict", "The run has ended already.");
  if (!input) throw new AppError("conflict", "A run of this kind of agent takes no messages.");
  if (!run.startedAt) throw new AppError("conflict", "The run has not started yet: try again in a moment.");
  return { input, volume: await volumes.ensure(run.userId) };
}

async function write(volume: Volume, run: RunRow, line: string, how?: Telling): Promise<boolean> {
  try {
    return await tell(volume, run.id, line, how);
  } catch (error) {
    if (!isOutOfSpace(error)) throw error;
    throw new AppError("conflict", "The workspace's disk is full: delete files first.", {}, { cause: error });
  }
}
