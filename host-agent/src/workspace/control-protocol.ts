/**
 * The control protocol of the Claude Code CLI: a JSON object a line, on its standard input and among its output. The CLI says
 * what it asks and what it took; it is told messages, answers, and to stop.
 */
import type { AnswerBody, Waiting } from "@berth/shared/resources";

/** A request of the CLI; `kind` is null for one that nobody here can answer. */
export type Ask = Pick<Waiting, "tool" | "input"> & { kind: Waiting["kind"] | null; requestId: string };

/** How a runtime is told something while its run goes on: each a line without its end. */
export interface Input {
  message(id: string, text: string): string;
  interrupt(): string;
  answer(answer: AnswerBody, asked: Waiting["input"]): string;
  refuse(requestId: string): string;
  /** Words that are in each line that answers this request, and in no other. */
  answerTo(requestId: string): string;
}
/** What it is told. */
export const controlProtocol: Input = {
  message: (uuid, text) =>
    JSON.stringify({ type: "user", uuid, message: { role: "user", content: [{ type: "text", text }] } }),
  interrupt: () =>
    JSON.stringify({ type: "control_request", request_id: crypto.randomUUID(), request: { subtype: "interrupt" } }),
  answer({ requestId, behavior, message, updatedInput }, asked) {
    const changed = updatedInput ?? asked;
    const response =
      behavior === "allow"
        ? { behavior, ...(changed && { updatedInput: changed }) }
        : { behavior, message: message ?? "The user refused this." };
    return respond({ subtype: "success", request_id: requestId, response });
  },
  refuse: (requestId) => respond({ subtype: "error", request_id: requestId, error: "Berth answers no such request." }),
  answerTo: (requestId) => `"request_id":${JSON.stringify(requestId)}`,
};
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
