/** Runs the real Claude Code CLI against a model that is served on a Unix socket, as an ordinary user in a directory of its own. */
import { spawn } from "node:child_process";
import { chmod, chown, mkdir, open } from "node:fs/promises";
import { createServer } from "node:http";
import type { RequestListener, Server } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** A uid that the CLI accepts: it refuses root. Null where the tests do not run as root. */
const cliUid = process.getuid?.() === 0 ? 20_999 : null;

export interface CliEvent {
  type?: string;
  subtype?: string;
  result?: string;
  is_error?: boolean;
  session_id?: string;
  total_cost_usd?: number;
  api_error_status?: number;
}
export interface CliOutcome {
  exitCode: number | null;
  events: CliEvent[];
  result: CliEvent | undefined;
  stderr: string;
}

/** Serves a model on `path`, reachable for the CLI's user alone. */
export async function serveModel(path: string, listener: RequestListener): Promise<Server> {
  const server = createServer(listener);
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(path, resolve));
  await chmod(path, 0o600);
  if (cliUid !== null) {
    await chown(path, cliUid, cliUid);
    await chmod(dirname(path), 0o755);
  }
  return server;
}

export interface CliCall {
  /** Home and working directory; made if it is missing. */
  dir: string;
  socketPath: string;
  prompt: string;
  token?: string;
  args?: string[];
  env?: Record<string, string>;
}

export async function runCli({
  dir,
  socketPath,
  prompt,
  token = "any",
  args = [],
  env = {},
}: CliCall): Promise<CliOutcome> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  if (cliUid !== null) await chown(dir, cliUid, cliUid);
  // By descriptor, so that the checkout may lie where the other user cannot go.
  const binary = await open(createRequire(import.meta.url).resolve("@anthropic-ai/claude-code-linux-x64/claude"));
  const user = cliUid === null ? [] : ["setpriv", `--reuid=${cliUid}`, `--regid=${cliUid}`, "--clear-groups"];
  const flags = ["--print", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"];
  const [command = "", ...rest] = [...user, "/proc/self/fd/3", ...flags, ...args];
  const child = spawn(command, rest, {
    cwd: dir,
    stdio: ["pipe", "pipe", "pipe", binary.fd],
    timeout: 300_000,
    killSignal: "SIGKILL",
    env: {
      PATH: "/usr/local/bin:/usr/bin:/bin",
      LANG: "C.UTF-8",
      HOME: dir,
      TMPDIR: dir,
      CLAUDE_CONFIG_DIR: join(dir, ".claude"),
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      DISABLE_AUTOUPDATER: "1",
      ANTHROPIC_BASE_URL: "http://localhost",
      ANTHROPIC_UNIX_SOCKET: socketPath,
      ANTHROPIC_API_KEY: token,
      ...env,
    },
  });
  child.stdin?.end(prompt);
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const exitCode = await new Promise<number | null>((resolve, reject) =>
    child.on("error", reject).on("close", resolve),
  );
  await binary.close();
  const events = stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as CliEvent);
  return { exitCode, events, result: events.find((event) => event.type === "result"), stderr };
}
