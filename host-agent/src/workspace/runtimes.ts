/**
 * What a runtime is: all that differs between the programs that a run may be. A further CLI is an entry here; the image
 * needs its program, the page its words and lines, and a model API of its own a file in `model/`.
 */
import type { RuntimeName } from "@berth/shared/resources";
import type { ModelApi } from "../model/api.ts";
import { messagesApi } from "../model/messages.ts";
import type { AgentRow } from "../store/rows.ts";

/** What the lines of a run have shown. */
export interface LinesSeen {
  /** The CLI has begun to answer. */
  hasStarted: boolean;
  /** The CLI's own conclusion of its last turn. */
  result: { text: string; isError: boolean } | null;
  /** A turn goes on: the first, or one that began after the last result. */
  isInTurn: boolean;
  /** Work that the CLI has in the background, and waits for. */
  backgroundTasks: number;
}
export interface Runtime {
  /** The API of its model; the model proxy answers no other. */
  modelApi: ModelApi;
  /** What every process of the agent has in its environment: where the CLI keeps its files, and the socket to its model. */
  env(home: string, modelSocket: string): Record<string, string>;
  /** The name under which a run alone has its token for the model. */
  tokenName: string;
  /** What a run executes; the file has its message. */
  command(agent: AgentRow, promptFile: string): string[];
  /** Whether the message is its standard input, which is empty else. */
  readsPrompt: boolean;
  /** Where it looks for instructions, below the agent's directory; null where it takes none. */
  ruleFile: string | null;
  /** How its conversation goes on from one run to the next; null where it has none. */
  session: ((id: string) => Session) | null;
  /** What one line changes of them, or null. */
  readLine(line: string): Partial<LinesSeen> | null;
  /** Whether its lines are JSON objects, which readers get unchanged. */
  speaksJson: boolean;
  /** Whether the end of its output is its result, where no line says one. */
  resultIsTail: boolean;
  /** Whether a first line must come within a minute. */
  answersSoon: boolean;
}
/** A conversation at a CLI: its file, and the arguments that resume and begin it. */
interface Session {
  /** Below the agent's directory, as a pattern of the shell. */
  file: string;
  /** A message in it, as a pattern of grep -E: a file without any is of no use to the CLI. */
  message: string;
  resume: string;
  begin: string;
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
  command: (agent) => [
    "claude",
    "--print",
    "--dangerously-skip-permissions",
    "--output-format",
    "stream-json",
    "--include-partial-messages",
    "--verbose",
    ...(agent.model ? ["--model", agent.model] : []),
  ],
  readsPrompt: true,
  ruleFile: ".claude/rules/berth.md",
  session: (id) => ({
    file: `.claude/projects/*/${id}.jsonl`,
    message: '"type":"(user|assistant)"',
    resume: `--resume ${id}`,
    begin: `--session-id ${id}`,
  }),
  readLine(line) {
    if (!line.startsWith("{")) return null;
    if (!/"type":"(result|system)"/.test(line)) return { hasStarted: true };
    try {
      return factsOf(JSON.parse(line) as ClaudeEvent);
    } catch {
      return null;
    }
  },
  speaksJson: true,
  resultIsTail: false,
  answersSoon: true,
};

interface ClaudeEvent {
  type?: unknown;
  subtype?: unknown;
  result?: unknown;
  is_error?: unknown;
  errors?: unknown;
  tasks?: unknown;
}

/** Its cost is not read: it adds up over a resumed session, and the agent can write lines of its own. The proxy counts. */
function factsOf({ type, subtype, result, is_error, errors, tasks }: ClaudeEvent): Partial<LinesSeen> {
  if (type === "system" && subtype === "init") return { hasStarted: true, isInTurn: true };
  if (type === "system" && subtype === "background_tasks_changed" && Array.isArray(tasks)) {
    // Ambient ones, a watcher for example, go on for as long as the CLI does: it does not wait for them.
    const awaited = tasks.filter((task: { ambient?: unknown }) => task.ambient !== true);
    return { hasStarted: true, backgroundTasks: awaited.length };
  }
  if (type !== "result") return { hasStarted: true };
  const text = typeof result === "string" ? result : Array.isArray(errors) ? errors.join("\n") : "";
  return { hasStarted: true, isInTurn: false, result: { text, isError: is_error === true } };
}

/** Its scripts may call the CLI that the image has, and its model. */
const shell: Runtime = {
  modelApi: claude.modelApi,
  env: claude.env,
  tokenName: claude.tokenName,
  command: (_agent, promptFile) => ["bash", promptFile],
  readsPrompt: false,
  ruleFile: null,
  session: null,
  readLine: () => null,
  speaksJson: false,
  resultIsTail: true,
  answersSoon: false,
};

export const runtimes: Record<RuntimeName, Runtime> = { claude, shell };
