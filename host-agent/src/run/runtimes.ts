/**
 * What a runtime is: a command for the wrapper and a reader of its output lines. A further CLI is one more entry here and
 * one more case in the image's `berth-run`.
 */
import type { RuntimeName } from "@berth/shared/resources";
import type { AgentRow } from "../store/rows.ts";

/** What a line shows of the run. */
export interface LineFacts {
  /** The CLI has begun to answer. */
  hasStarted?: true;
  /** The CLI's own conclusion; it should end soon. */
  result?: { text: string; isError: boolean };
}
export interface Runtime {
  /** Arguments for the wrapper after the runtime's name. */
  args(agent: AgentRow): string[];
  /** Facts in one line, or null. */
  readLine(line: string): LineFacts | null;
  /** Whether its lines are JSON objects, which readers get unchanged. */
  speaksJson: boolean;
  /** Whether the end of its output is its result, where no line says one. */
  resultIsTail: boolean;
  /** Whether a first line must come within a minute. */
  answersSoon: boolean;
  /** Whether the conversation has a session at the CLI. */
  hasSession: boolean;
}

const claude: Runtime = {
  args: (agent) => [
    "--print",
    "--dangerously-skip-permissions",
    "--output-format",
    "stream-json",
    "--include-partial-messages",
    "--verbose",
    ...(agent.model ? ["--model", agent.model] : []),
  ],
  readLine(line) {
    if (!line.startsWith("{")) return null;
    if (!line.includes('"type":"result"')) return { hasStarted: true };
    let event: { type?: unknown; result?: unknown; is_error?: unknown; errors?: unknown };
    try {
      event = JSON.parse(line) as typeof event;
    } catch {
      return null;
    }
    if (event.type !== "result") return { hasStarted: true };
    const text =
      typeof event.result === "string" ? event.result : Array.isArray(event.errors) ? event.errors.join("\n") : "";
    // Its cost is not read: it adds up over a resumed session, and the agent can write lines of its own. The proxy counts.
    return { hasStarted: true, result: { text, isError: event.is_error === true } };
  },
  speaksJson: true,
  resultIsTail: false,
  answersSoon: true,
  hasSession: true,
};

const shell: Runtime = {
  args: () => [],
  readLine: () => null,
  speaksJson: false,
  resultIsTail: true,
  answersSoon: false,
  hasSession: false,
};

export const runtimes: Record<RuntimeName, Runtime> = { claude, shell };
