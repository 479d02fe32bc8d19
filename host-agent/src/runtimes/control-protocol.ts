/**
 * The control protocol of the Claude Code CLI: a JSON object a line, on its standard input and among its output. The CLI says
 * what it asks and what it took; it is told messages, answers, and to stop.
 */
import type { AnswerBody, ContextUse, Waiting } from "@berth/shared/resources";
import { parseSmall } from "@berth/shared/bounds/json-scan";
import { z } from "zod";

/** A request of the CLI; `kind` is null for one that nobody here can answer. */
export type Ask = Pick<Waiting, "tool" | "input"> & { kind: Waiting["kind"] | null; requestId: string };

/** How a runtime is told something while its run goes on: each a line without its end. */
export interface Input {
  message(id: string, text: string): string;
  /** The text as it is to be told to one that has said this of itself: of its commands those alone that it has are commands. */
  asText(said: string, text: string): string;
  interrupt(): string;
  /** Whether it can be asked to stop, by what it has said of itself; one that has said nothing yet is asked. */
  takesInterrupt(said: string): boolean;
  answer(answer: AnswerBody): string;
  refuse(requestId: string): string;
  askContext(requestId: string): string;
  /** What it says of its context in this line; null where that is no answer to that request. */
  contextIn(line: string, requestId: string): ContextUse | "unreadable" | null;
  /** Words that are in each line that answers this request, and in no other. */
  answerTo(requestId: string): string;
  /** What one that is started ahead of its message is told: lines whose answers need what the message will need. */
  warmUp: string;
  /** Whether it has answered all of that. */
  isWarm(said: string): boolean;
  /** Whether it has begun to do what it was told after that. */
  hasTaken(said: string): boolean;
  /** Variables of what it executes from now on. */
  setVariables(variables: Record<string, string>): string;
  /** Whether the message may mean something else than its words, or be too long to be told at once. */
  isSpecial(prompt: string): boolean;
}
/** What it is told. */
export const controlProtocol: Input = {
  message: (uuid, text) =>
    JSON.stringify({ type: "user", uuid, message: { role: "user", content: [{ type: "text", text }] } }),
  interrupt: () =>
    JSON.stringify({ type: "control_request", request_id: crypto.randomUUID(), request: { subtype: "interrupt" } }),
  asText(said, text) {
    const name = commandIn(text);
    // A line break before a slash makes it text.
    return name === null || readInit(said)?.slash_commands.includes(name) ? text : `\n${text}`;
  },
  takesInterrupt(said) {
    const init = readInit(said);
    return init === undefined || (init?.capabilities.includes("interrupt_receipt_v1") ?? false);
  },
  answer({ requestId, behavior, message, updatedInput }) {
    // What it has asked it knows: told again, a turn of many permissions would come to more than a run is told.
    const response =
      behavior === "allow"
        ? { behavior, ...(updatedInput && { updatedInput }) }
        : { behavior, message: message ?? "The user refused this." };
    return respond({ subtype: "success", request_id: requestId, response });
  },
  refuse: (requestId) => respond({ subtype: "error", request_id: requestId, error: "Berth answers no such request." }),
  askContext: (requestId) =>
    JSON.stringify({ type: "control_request", request_id: requestId, request: { subtype: "get_context_usage" } }),
  contextIn(line, requestId) {
    if (!line.startsWith('{"type":"control_response"') || !line.includes(requestId)) return null;
    const { success, data } = contextLine.safeParse(parseSmall(line, mostValues));
    if (!success) return "unreadable";
    const { model, totalTokens, maxTokens, categories } = data.response.response;
    const parts = categories.filter(({ kind }) => kind === "used").map(({ name, tokens }) => ({ name, tokens }));
    return { model, usedTokens: totalTokens, limitTokens: maxTokens, parts };
  },
  answerTo: (requestId) => `"request_id":${JSON.stringify(requestId)}`,
  get warmUp() {
    const lines = warmUps.map((subtype) => ({ type: "control_request", request_id: subtype, request: { subtype } }));
    return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  },
  isWarm: (said) => said.includes(`"request_id":"${warmUps.at(-1)}"`) && said.endsWith("\n"),
  hasTaken: (said) => (said.match(/[^\n]+/g) ?? []).some((line) => !line.includes('"type":"control_response"')),
  setVariables: (env) => {
    const request = { subtype: "apply_flag_settings", settings: { env } };
    return JSON.stringify({ type: "control_request", request_id: "variables", request });
  },
  isSpecial: (prompt) => commandIn(prompt) !== null || Buffer.byteLength(prompt) > toldAtOnceBytes,
};
const name = z.string().max(200);
const tokens = z.int().nonnegative();
/** The agent can write lines of its own: no more is taken than is shown. */
const contextLine = z.object({
  response: z.object({
    response: z.object({
      model: name.default(""),
      totalTokens: tokens,
      maxTokens: tokens,
      categories: z.array(z.object({ name, tokens, kind: name })).max(100),
    }),
  }),
});
/** More keys and values than any of its lines that are read here has. */
const mostValues = 20_000;
const initLine = z.object({
  capabilities: z.array(name).max(100).default([]),
  slash_commands: z.array(name).max(1000).catch([]),
});
/** What it has said of itself: undefined before it has, null where nobody can read it. */
function readInit(said: string) {
  // No list of all lines: an agent can say a million of them.
  const start = `\n${said}`.indexOf('\n{"type":"system","subtype":"init"');
  if (start === -1) return undefined;
  const [line = ""] = said.slice(start).split("\n", 1);
  return initLine.safeParse(parseSmall(line, mostValues)).data ?? null;
}
/** The word after a slash with which a text begins, as the CLI has commands. */
const commandIn = (text: string) => /^\/([^/\s]+)(?:\s|$)/.exec(text)?.[1] ?? null;
/** It initialises lazily: without the second request a good part of its start would be left for the message. */
const warmUps = ["initialize", "get_context_usage"];
/** A shell reads them byte by byte. */
const toldAtOnceBytes = 65_536;
const respond = (response: object) => JSON.stringify({ type: "control_response", response });

/** More open requests than a CLI has; the agent can write lines of its own. */
const [mostAsks, mostTaken] = [20, 1000];
const askedBytes = 65_536;
const askKinds: Record<string, Waiting["kind"]> = { AskUserQuestion: "question", ExitPlanMode: "plan" };

export interface ControlEvent {
  type?: unknown;
  state?: unknown;
  command_uuid?: unknown;
  request_id?: unknown;
  request?: { subtype?: unknown; tool_name?: unknown; input?: unknown };
  response?: { request_id?: unknown };
}

interface Seen {
  isDone: boolean;
  taken: string[];
  asks: Ask[];
}

/** What one line of it changes of what it has taken and asked. */
export function followControl(event: ControlEvent, { taken, asks }: Seen): Partial<Seen> & { hasStarted: true } {
  const { type, state, command_uuid, request_id, request, response } = event;
  if (type === "command_lifecycle") {
    const isEnd = state === "completed" || state === "cancelled";
    const id = String(command_uuid).slice(0, 100);
    const others = taken.filter((one) => one !== id);
    const now = isEnd ? others : [...others, id].slice(-mostTaken);
    return { hasStarted: true, taken: now, isDone: isEnd && now.length === 0 };
  }
  const requestId = type === "control_response" ? response?.request_id : request_id;
  if (typeof requestId !== "string" || requestId.length > 200) return { hasStarted: true };
  const others = asks.filter((ask) => ask.requestId !== requestId);
  if (type !== "control_request" || others.length >= mostAsks) return { hasStarted: true, asks: others };
  const { subtype, tool_name, input } = request ?? {};
  const tool = typeof tool_name === "string" ? tool_name.slice(0, 200) : null;
  const isShort = typeof input === "object" && JSON.stringify(input).length <= askedBytes;
  const kind = subtype === "can_use_tool" && tool !== null ? (askKinds[tool] ?? "permission") : null;
  const ask: Ask = { kind, requestId, tool, input: isShort ? (input as Ask["input"]) : null };
  return { hasStarted: true, asks: [...others, ask] };
}
