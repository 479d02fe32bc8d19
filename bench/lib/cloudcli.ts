/** CloudCLI beside Berth: its server as it is installed, on loopback and in a home of its own, and a client in one conversation. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import { freePort } from "@berth/shared/node/free-port";
import { until } from "../../gateway/test/wait.ts";
import { answers } from "../../scripts/processes/own-process.ts";

const cli = join(import.meta.dirname, "../../node_modules/@anthropic-ai/claude-code-linux-x64/claude");

/** What its server sends of a turn. */
interface Frame {
  kind: string;
  role?: string;
  content?: string;
}

/** `dir` is where the package is installed. Its CLI is the pin, and asks for this model at `modelUrl`. */
export async function startCloudCli(dir: string, modelUrl: string, model: string) {
  const home = mkdtempSync(join(tmpdir(), "berth-cloudcli-"));
  const project = join(home, "project");
  mkdirSync(project);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const logFile = join(home, "server.log");
  const log = openSync(logFile, "a");
  const server = spawn(process.execPath, [join(dir, "dist-server/server/index.js")], {
    cwd: home,
    env: {
      PATH: process.env["PATH"]!,
      HOME: home,
      HOST: "127.0.0.1",
      SERVER_PORT: String(port),
      CLAUDE_CLI_PATH: cli,
      ANTHROPIC_BASE_URL: modelUrl,
      ANTHROPIC_API_KEY: "sk-upstream",
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      DISABLE_AUTOUPDATER: "1",
      DISABLE_TELEMETRY: "1",
    },
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  process.once("exit", () => server.kill());
  await until(() => {
    if (server.exitCode !== null) throw new Error(`CloudCLI ended: ${readFileSync(logFile, "utf8").slice(-2000)}`);
    return answers(`${url}/health`);
  }, "CloudCLI serves");
  const user = { username: "bench", password: crypto.randomUUID() };
  const { token } = await post<{ token: string }>(`${url}/api/auth/register`, user);
  const begun = { provider: "claude", projectPath: project };
  const { data } = await post<{ data: { sessionId: string } }>(`${url}/api/providers/sessions`, begun, token);
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws?token=${token}`);
  await once(socket, "open");
  return {
    message: (content: string, answer: string) =>
      ask(socket, { sessionId: data.sessionId, content, options: { model } }, answer),
    /** The CLI of a turn is gone some time after the turn's end. */
    rests: () => until(() => !readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, "utf8"), "its CLI ended"),
    close: async () => {
      socket.terminate();
      server.kill();
      await once(server, "exit");
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** Milliseconds from the message to the answer's first text, which must be this, and to the turn's end. */
function ask(socket: WebSocket, message: object, answer: string) {
  return new Promise<{ firstText: number; whole: number }>((resolve, reject) => {
    const startedAt = performance.now();
    let firstText = 0;
    const read = (bytes: Buffer) => {
      const frame = JSON.parse(bytes.toString()) as Frame;
      const { kind, role, content: text } = frame;
      if (kind === "text" && role === "assistant" && text === answer) firstText ||= performance.now() - startedAt;
      if (kind !== "complete" && kind !== "protocol_error") return;
      socket.off("message", read);
      if (kind !== "complete" || !firstText) reject(new Error(`CloudCLI did not answer: ${JSON.stringify(frame)}`));
      resolve({ firstText, whole: performance.now() - startedAt });
    };
    socket.on("message", read);
    socket.send(JSON.stringify({ type: "chat.send", ...message }));
  });
}

async function post<T>(url: string, body: object, token?: string): Promise<T> {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  return (await answer.json()) as T;
}
