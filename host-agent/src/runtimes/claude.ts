/** Claude Code: what it is started with, and what its lines say of a run. */
import { parseSmall } from "@berth/shared/bounds/json-scan";
import type { Run } from "@berth/shared/resources";
import { z } from "zod";
import { messagesApi } from "../model/messages.ts";
import { type ControlEvent, controlProtocol, followControl } from "./control-protocol.ts";
import type { LinesSeen, Runtime } from "./runtime.ts";

export const claude: Runtime = {
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
    const isId = typeof session_id === "string" && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(session_id);
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
