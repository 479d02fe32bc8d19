/**
 * What a runtime is: all that differs between the programs that a run may be. A further CLI is an entry here; the image
 * needs its program, the page its words and lines, and a model API of its own a file in `model/`.
 */
import { parseSmall } from "@berth/shared/bounds/json-scan";
import type { Run } from "@berth/shared/resources";
import type { RuntimeName } from "@berth/shared/kinds/runtimes";
import { z } from "zod";
import type { ModelApi } from "../model/api.ts";
import { messagesApi } from "../model/messages.ts";
import { type Ask, type ControlEvent, controlProtocol, followControl, type Input } from "./control-protocol.ts";
import type { AgentRow } from "../store/rows.ts";

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
const claude: Runtime = {
  modelApi: messagesApi,
  env: (home, modelSocket) => ({
    CLAUDE_CONFIG_DIR: `${home}/.claude`,
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    DISABLE_AUTOUPDATER: "1",
    ANTHROPIC_UNIX_SOCKET: modelSocket,
    ANTHROPIC_BASE_URL: "http://localhost",
  }),
  tokenName: "ANTHROPIC_API_KEY",
  command: (agent, _promptFile, trigger) => [
    "/opt/berth/bin/berth-claude",
    ...permissionFlags[agent.permissions],
    // Nobody reads a webhook's run while it goes on: with this its CLI could ask a question, and wait.
    ...(isOfPerson(trigger) || agent.permissions !== "skip" ? ["--permission-prompt-tool", "stdio"] : []),
    "--include-partial-messages",
    ...(agent.model ? ["--model", agent.model] : []),
  ],
  input: controlProtocol,
  envOfRun: (agent, { trigger, messageId, continues }) => ({
    // It goes on where its conversation breaks off. A CLI that does not know this takes the message itself, or does nothing.
    ...(continues !== null && { CLAUDE_CODE_RESUME_INTERRUPTED_TURN: "1" }),
    BERTH_MESSAGE_ID: messageId,
    BERTH_SESSION: agent.sessionId,
    BERTH_SESSION_KNOWN: agent.sessionUsed ? "1" : "",
    BERTH_COMMANDS: isOfPerson(trigger) ? "1" : "",
  }),
  rule: fence,
  hasSession: true,
  readLine(line, seen) {
    if (!line.startsWith("{")) return null;
    if (ownLine.test(line)) return { hasStarted: true };
    // An answer to the host agent is none in the conversation.
    const answered = { hasStarted: true, ...(!line.startsWith('{"type":"control_response"') && { hasAnswered: true }) };
    if (!/"type":"(result|system|command_lifecycle|control_\w+)"/.test(line)) return answered;
    try {
      const event = JSON.parse(line) as ClaudeEvent;
      const isControl = event.type !== "result" && event.type !== "system";
      return { ...answered, ...(isControl ? followControl(event, seen) : factsOf(event)) };
    } catch {
      return null;
    }
  },
  wordsIn(line) {
    if (!line.startsWith('{"type":"assistant"')) return null;
    const { success, data } = ownMessage.safeParse(parseSmall(line, 500));
    const words = success ? data.message.content.flatMap(({ text = "" }) => text || []) : [];
    return words.length === 0 ? null : words.join("\n");
  },
  speaksJson: true,
  resultIsTail: false,
  answersSoon: true,
};

/** A person or their program has sent it, or what it goes on with. */
const isOfPerson = ({ triggerId }: Run["trigger"]) => triggerId === null;

/** Of the wrapper in the image, before the CLI has said anything. */
const ownLine = /^\{"type":"(prepared|repaired|session_missing)"/;

/**
 * A file of the CLI's memory is Markdown of its own kind: it reads front matter, leaves comments out and puts files in place
 * of `@path`. In a code block it does none of that.
 */
function fence(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/~+/g)].map(([tildes]) => tildes.length));
  const mark = "~".repeat(longest + 1);
  return `The instructions for this agent, as its user wrote them. Follow them:\n\n${mark}\n${text}\n${mark}\n`;
}

const permissionFlags = {
  skip: ["--dangerously-skip-permissions"],
  ask: ["--permission-mode", "default"],
  plan: ["--permission-mode", "plan"],
};

interface ClaudeEvent extends ControlEvent {
  subtype?: unknown;
  session_id?: unknown;
  num_turns?: unknown;
  local_command?: unknown;
  result?: unknown;
  is_error?: unknown;
  errors?: unknown;
  tasks?: unknown;
}

/** What it says itself, not one that it has set to work. */
const ownMessage = z.object({
  parent_tool_use_id: z.null().optional(),
  message: z.object({ content: z.array(z.object({ text: z.string().optional() })) }),
});

/** Its cost is not read: it adds up over a resumed session, and the agent can write lines of its own. The proxy counts. */
function factsOf(event: ClaudeEvent): Partial<LinesSeen> {
  const { type, subtype, session_id, num_turns, local_command, result, is_error, errors, tasks } = event;
  if (type === "system" && subtype === "init") {
    // A command of the CLI may have begun another one. The agent can write lines of its own: nothing but an id is taken.
    const isId = typeof session_id === "string" && /^[0-9a-f-]{36}$/.test(session_id);
    return { isInTurn: true, isDone: false, ...(isId && { sessionId: session_id }) };
  }
  if (type === "system" && subtype === "background_tasks_changed" && Array.isArray(tasks)) {
    // Ambient ones, a watcher for example, go on for as long as the CLI does: it does not wait for them.
    const awaited = tasks.filter((task: { ambient?: unknown }) => task.ambient !== true);
    return { backgroundTasks: awaited.length };
  }
  if (type !== "result") return {};
  const text = typeof result === "string" ? result : Array.isArray(errors) ? errors.join("\n") : "";
  // Without a turn the model has seen nothing, unless it was a command that the CLI did by itself.
  const isUnseen = num_turns === 0 && local_command === undefined;
  return { isInTurn: false, result: { text, isError: is_error === true || isUnseen } };
}

/** Its scripts may call the CLI that the image has, and its model. */
const shell: Runtime = {
  modelApi: claude.modelApi,
  env: claude.env,
  tokenName: claude.tokenName,
  command: (_agent, promptFile) => ["bash", promptFile],
  input: null,
  envOfRun: () => ({}),
  rule: null,
  hasSession: false,
  readLine: () => null,
  wordsIn: () => null,
  speaksJson: false,
  resultIsTail: true,
  answersSoon: false,
};

export const runtimes: Record<RuntimeName, Runtime> = { claude, shell };
