/**
 * What a runtime is to the host: all that differs between the programs that a run may be. Each has a file beside this one; the
 * image needs its program, and a model API of its own is a file in `model/`.
 */
import type { Run } from "@berth/shared/resources";
import type { ModelApi } from "../model/api.ts";
import type { AgentRow } from "../store/rows.ts";
import type { Ask, Input } from "./control-protocol.ts";

/** What the lines of a run have shown. */
export interface LinesSeen {
  /** A first line has come: what prepares the CLI's start has one of its own. */
  hasStarted: boolean;
  /** The CLI itself has begun to answer: its conversation exists. */
  hasAnswered: boolean;
  /** The CLI's own conclusion of its last turn. */
  result: { text: string; isError: boolean } | null;
  /** A turn goes on: the first, or one that began after the last result. */
  isInTurn: boolean;
  /** Work that the CLI has in the background, and waits for. */
  backgroundTasks: number;
  /** The conversation that the CLI goes on with; null before it says so. */
  sessionId: string | null;
  /** The CLI has done all that it took, whatever became of its result: of a very long one nothing is read. */
  isDone: boolean;
  /** What the CLI has taken and not done yet: messages by their ids, and what it goes on with by itself. */
  taken: string[];
  /** What the CLI has asked and not had an answer to, oldest first. */
  asks: Ask[];
}
/** What of a run its wrapper is told. */
export interface Begun {
  trigger: Run["trigger"];
  /** Names its message to the CLI, which takes the same one once: a UUID. */
  messageId: string;
  continues: string | null;
}
export interface Runtime {
  /** The API of its model; the model proxy answers no other. */
  modelApi: ModelApi;
  /** What every process of the agent has in its environment: where the CLI keeps its files, and the socket to its model. */
  env(home: string, modelSocket: string): Record<string, string>;
  /** The name under which a run alone has its token for the model. */
  tokenName: string;
  /** What a run executes; the file has its message. */
  command(agent: AgentRow, promptFile: string, trigger: Run["trigger"]): string[];
  /** Null where a run is told nothing after its start. */
  input: Input | null;
  /** What its wrapper in the image is told in the environment of a run. */
  envOfRun(agent: AgentRow, run: Begun): Record<string, string>;
  /** The file that says instructions to its model to the letter; null where it takes none. */
  rule: ((instructions: string) => string) | null;
  /** Whether its conversation goes on from one run to the next. */
  hasSession: boolean;
  /** What one line changes of them, or null. */
  readLine(line: string, seen: LinesSeen): Partial<LinesSeen> | null;
  /** The words of its own, to its user, that a line says; null for any other line. */
  wordsIn(line: string): string | null;
  /** Whether its lines are JSON objects, which readers get unchanged. */
  speaksJson: boolean;
  /** Whether the end of its output is its result, where no line says one. */
  resultIsTail: boolean;
  /** Whether a first line must come within a minute. */
  answersSoon: boolean;
}
