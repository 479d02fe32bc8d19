import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { RequestListener, Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { runCli, serveModel } from "../../test/claude-cli.ts";
import { createDemoModel, demoNotice, replyTo } from "./demo.ts";
import { messagesApi } from "./messages.ts";
import { createModelProxy } from "./proxy.ts";
import type { Usage } from "@berth/shared/resources";

const tools = [{ name: "Read" }, { name: "Bash" }];
const ask = (...contents: unknown[]) => {
  const messages = contents.map((content, i) => ({ role: i % 2 ? "assistant" : "user", content: content as string }));
  return replyTo({ tools, messages }) as { type: string; text?: string; input?: { command: string } }[];
};
const toolResult = (content: unknown, is_error = false) => [
  { type: "tool_result", tool_use_id: "t", content, is_error },
];

describe("what the demo model says", () => {
  test("a prompt makes it write a file with the Bash tool, whatever quotes it has", () => {
    const [intro, call] = ask("it's `$(me)`\nsecond line");
    expect(intro?.text).toContain("hello.md");
    expect(call).toMatchObject({ type: "tool_use", name: "Bash" });
    expect(call?.input?.command).toBe(`printf '%s\\n' 'You wrote: it'\\''s \`$(me)\`' >> hello.md && cat hello.md`);
  });
  test("a tool result makes it report and say what it is", () => {
    const [report] = ask(
      "hi",
      [{ type: "tool_use", name: "Bash" }],
      toolResult([{ type: "text", text: "You wrote: hi" }]),
    );
    expect(report?.text).toContain("You wrote: hi");
    expect(report?.text).toContain(demoNotice);
  });
  test("a failed tool is told as failed", () => {
    expect(JSON.stringify(ask("demo: run false", [], toolResult("Exit code 1", true)))).toContain("The command failed");
  });
  test("a resumed conversation is noticed", () => {
    const reply = ask("hi", [], toolResult("x"), "done", [
      { type: "text", text: "<system-reminder>no</system-reminder>" },
      { type: "text", text: "again" },
    ]);
    expect(JSON.stringify(reply)).toContain("This is message 2 of our conversation");
  });
  test("without tools it answers with plain text", () => {
    expect(replyTo({ messages: [{ role: "user", content: "Make a title" }] })).toEqual([
      { type: "text", text: "A conversation with Berth's demo model" },
    ]);
  });
  test("demo: run calls one command as it is written", () => {
    expect(ask("demo: run echo 'a  b'\necho c\n")).toMatchObject([
      { type: "tool_use", input: { command: "echo 'a  b'\necho c" } },
    ]);
  });
  test("demo: say says exactly that", () => {
    expect(ask("demo: say one\ntwo ✓")).toEqual([{ type: "text", text: "one\ntwo ✓" }]);
  });
  test("a prompt of nothing but blanks after the word is no command, however many there are", () => {
    expect(ask(`demo: run${" ".repeat(500_000)}`)).toMatchObject([{ type: "text" }, { type: "tool_use" }]);
  });
  test("a prompt after one that failed is answered, though the CLI sends both in one message", () => {
    const texts = ["demo: fail 400", "demo: say fine"].map((text) => ({ type: "text", text }));
    expect(ask(texts)).toEqual([{ type: "text", text: "fine" }]);
  });
  test("demo: fail fails with that status", () => {
    expect(ask("demo: fail 429")).toEqual({ failStatus: 429 });
  });
});

describe("the demo model over HTTP", () => {
  let server: Server;
  let base = "";
  beforeAll(async () => {
    server = createServer(createDemoModel({ wordMs: 0 }));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => void server.close());
  const post = (path: string, body: unknown) =>
    fetch(base + path, { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body) });
  const say = (text: string, stream: boolean) =>
    post("/v1/messages?beta=true", { stream, messages: [{ role: "user", content: `demo: say ${text}` }] });

  test("a stream has the text in pieces, and the same text", async () => {
    const text = "The  quick\nbrown fox ✓";
    const answer = await (await say(text, true)).text();
    const events = answer
      .split("\n")
      .filter((line) => line.startsWith("data:"))
      .map((line) => JSON.parse(line.slice(5)));
    expect(events.map(({ type }) => type)).toEqual([
      "message_start",
      "content_block_start",
      ...Array(5).fill("content_block_delta"),
      "content_block_stop",
      "message_delta",
      "message_stop",
    ]);
    expect(events.map(({ delta }) => delta?.text ?? "").join("")).toBe(text);
  });
  test("a long text comes in at most a hundred pieces", async () => {
    const answer = await (await say("word ".repeat(10_000), true)).text();
    expect(answer.split("text_delta").length - 1).toBeLessThanOrEqual(100);
  });
  test("a plain answer has the same content", async () => {
    const answer = await (await say("hello", false)).json();
    expect(answer).toMatchObject({
      type: "message",
      model: "berth-demo",
      content: [{ type: "text", text: "hello" }],
      stop_reason: "end_turn",
    });
  });
  test("count_tokens and HEAD / are answered, other paths are not", async () => {
    expect(await (await post("/v1/messages/count_tokens", { messages: [] })).json()).toEqual({ input_tokens: 4 });
    expect((await fetch(base, { method: "HEAD" })).status).toBe(200);
    expect((await post("/v1/other", {})).status).toBe(404);
  });
  test.each(["", "null", "[]", "{}", '{"messages":{}}', "{"])("a body of %j is a 400", async (body) => {
    expect((await post("/v1/messages", body)).status).toBe(400);
  });
});

describe("with the real CLI", () => {
  let dir = "";
  const servers: Server[] = [];
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "berth-demo-"));
  });
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.close();
      server.closeAllConnections();
    }
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));
  const serve = async (listener: RequestListener) => {
    const socketPath = join(dir, `${randomUUID()}.sock`);
    servers.push(await serveModel(socketPath, listener));
    return socketPath;
  };

  test("a first message writes the file, a second one resumes the conversation", async () => {
    const socketPath = await serve(createDemoModel());
    const home = join(dir, "agent");
    const session = randomUUID();
    const first = await runCli({ dir: home, socketPath, prompt: "Hello there", args: ["--session-id", session] });
    expect(first).toMatchObject({ exitCode: 0, result: { is_error: false } });
    expect(first.result?.result).toContain(demoNotice);
    expect(await readFile(join(home, "hello.md"), "utf8")).toBe("You wrote: Hello there\n");
    const second = await runCli({ dir: home, socketPath, prompt: "More", args: ["--resume", session] });
    expect(second.result).toMatchObject({
      session_id: session,
      result: expect.stringContaining("I have seen 2 messages"),
    });
    expect(await readFile(join(home, "hello.md"), "utf8")).toBe("You wrote: Hello there\nYou wrote: More\n");
  });

  /** The demo model behind the model proxy, as in a workspace. */
  async function serveThroughProxy(leftUsd: () => number = () => Infinity) {
    const told = { usage: [] as Usage[], statuses: [] as number[] };
    const quiet = { info() {}, warn() {}, error() {} };
    const demo = createServer(createDemoModel({ wordMs: 1 }));
    servers.push(demo);
    await new Promise<void>((resolve) => demo.listen(0, "127.0.0.1", resolve));
    const proxy = createModelProxy({
      findRun: (_agent, token) => (token === "run-token" ? { runId: "run1" } : null),
      budgetsOf: (of) => [{ of, leftUsd: leftUsd() }],
      onUsage: (_run, delta) => told.usage.push(delta),
      onSpent: () => {},
      onStatus: (_run, status) => told.statuses.push(status),
      apiOf: () => messagesApi,
      targetOf: () => ({ url: `http://127.0.0.1:${(demo.address() as AddressInfo).port}`, apiKey: null }),
      log: quiet,
    });
    return { told, socketPath: await serve((req, res) => proxy.handle("agent1", req, res)) };
  }

  test("a command runs through the model proxy, is reported and counted", async () => {
    const { told, socketPath } = await serveThroughProxy();
    const { exitCode, result } = await runCli({
      dir: join(dir, "proxied"),
      socketPath,
      token: "run-token",
      prompt: "demo: run echo one; echo two",
    });
    expect(exitCode).toBe(0);
    expect(result?.result).toContain("The command printed:\n\none\ntwo");
    expect(told.statuses).toEqual([200, 200]);
    expect(told.usage.reduce((sum, { outputTokens }) => sum + outputTokens, 0)).toBeGreaterThan(10);
  });

  test("a budget that is reached stops the CLI at once", async () => {
    let calls = 0;
    const { socketPath } = await serveThroughProxy(() => (calls++ ? 0 : 1));
    const { exitCode, result } = await runCli({
      dir: join(dir, "budget"),
      socketPath,
      token: "run-token",
      prompt: "demo: run echo one",
    });
    expect(exitCode).toBe(1);
    expect(result).toMatchObject({
      is_error: true,
      api_error_status: 402,
      result: expect.stringContaining("budget is reached"),
    });
    expect(calls).toBe(2);
  });

  test("a key that the model refuses stops the CLI at once", async () => {
    const { told, socketPath } = await serveThroughProxy();
    const { exitCode, result } = await runCli({
      dir: join(dir, "auth"),
      socketPath,
      token: "run-token",
      prompt: "demo: fail 401",
    });
    expect(exitCode).toBe(1);
    expect(result).toMatchObject({ is_error: true, api_error_status: 401 });
    expect(told.statuses).toEqual([401]);
  });
});
