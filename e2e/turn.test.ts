/** A turn that people talk to while it goes on: on the real CLI, over API alone, also when host agent and gateway die meanwhile. */
import { execFileSync } from "node:child_process";
import { readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Agent, ContextUse, Run, Waiting } from "@berth/shared/resources";
import { until } from "../gateway/test/wait.ts";
import type { Client } from "./harness/client.ts";
import { type Berth, engine, startBerth, userIdOf } from "./harness/harness.ts";
import { type ModelCall, type ModelEndpoint, type Scripted, startModel } from "./harness/model-endpoint.ts";

const scripts = new Map<string, (call: ModelCall) => Scripted | null>();
let model: ModelEndpoint;
let berth: Berth;
let alice: Client;
let count = 0;

beforeAll(async () => {
  model = await startModel((call) => [...scripts].find(([name]) => call.told.includes(name))?.[1](call) ?? null);
  berth = await startBerth({
    BERTH_MODEL_URL: model.url,
    ANTHROPIC_API_KEY: "sk-upstream",
    BERTH_IDLE_SECONDS: "600",
    BERTH_MAX_AGENTS: "30",
  });
  alice = await berth.client("alice");
});
afterAll(async () => {
  await berth?.close();
  await model?.close();
});

const use = (name: string, input: object): Scripted => ({
  blocks: [{ type: "tool_use", id: `toolu_${crypto.randomUUID().replaceAll("-", "")}`, name, input }],
});
const bash = (command: string) => use("Bash", { command, description: "what the test needs" });
const say = (text: string): Scripted => ({ blocks: [{ type: "text", text }] });
/** An MCP server with one tool, which asks its user who they are and tells what became of that. */
const asker = `import json, sys
def send(**said): print(json.dumps(dict(jsonrpc="2.0", **said)), flush=True)
for line in sys.stdin:
    heard = json.loads(line)
    method, id = heard.get("method"), heard.get("id")
    if method == "initialize":
        version = heard["params"]["protocolVersion"]
        send(id=id, result=dict(protocolVersion=version, capabilities=dict(tools={}), serverInfo=dict(name="asker", version="1")))
    elif method == "tools/list":
        send(id=id, result=dict(tools=[dict(name="ask", description="asks", inputSchema=dict(type="object", properties={}))]))
    elif method == "tools/call":
        call, name = id, dict(name=dict(type="string"))
        send(id="form", method="elicitation/create", params=dict(message="Who are you?", requestedSchema=dict(type="object", properties=name)))
    elif id == "form":
        send(id=call, result=dict(content=[dict(type="text", text="heard " + heard["result"]["action"])]))
`;
const untilGo = "until [ -e go ]; do timeout 0.1 tail -f /dev/null; done; rm go";

/** A conversation of its own whose model does this in its first turn's first call, and then says "done". */
async function begin(first: Scripted, more: object = {}): Promise<{ agent: Agent; run: Run; prompt: string }> {
  const prompt = `Task number ${++count}.`;
  let isFirst = true;
  scripts.set(prompt, ({ stream }) => {
    if (!stream || !isFirst) return say("done");
    isFirst = false;
    return first;
  });
  const agent = await alice.createAgent(`turn-${count}`, more);
  return { agent, run: await alice.send(agent.id, prompt), prompt };
}

async function untilTool({ id }: Run): Promise<void> {
  for await (const { event, data } of alice.followRun(id))
    if (event === "output" && /"type":"tool_use"/.test(data) && data.includes('"type":"assistant"')) return;
  throw new Error("the run ended without a tool");
}

async function untilWaiting({ id }: Run): Promise<Waiting> {
  return until(async () => (await alice.run(id)).waitingFor, "the run waits");
}
const go = ({ id }: Agent) => alice.ok("PUT", `/v1/agents/${id}/files/go`, "x");
const isReplay = (line: string, messageId: string) => {
  const { type, uuid } = JSON.parse(line) as { type: string; uuid?: string };
  return type === "user" && uuid === messageId;
};

describe("a word into a running turn", () => {
  test("reaches the agent at its next step, once however often it is sent, and shows in the output", async () => {
    const { agent, run, prompt } = await begin(bash(untilGo));
    await untilTool(run);
    const words = { text: "And it shall be blue. \"'$(x)\u2028한글" };
    const key = { "idempotency-key": "once" };
    const path = `/v1/runs/${run.id}/messages`;
    const { messageId } = await alice.ok<{ messageId: string }>("POST", path, words, key);
    expect(await alice.ok("POST", path, words, key)).toEqual({ messageId });
    // However many ask at once, the CLI is asked once.
    const asked = Array.from({ length: 20 }, () => alice.ok<ContextUse>("GET", `/v1/runs/${run.id}/context`));
    const [context, ...others] = (await Promise.all(asked)) as [ContextUse, ...ContextUse[]];
    for (const other of others) expect(other).toEqual(context);
    const input = readFileSync(join(berth.hostDir, "mnt", await userIdOf(alice), "runs", run.id, "in"), "utf8");
    expect(input.split("get_context_usage").length - 1).toBeLessThan(5);
    expect(context.limitTokens).toBeGreaterThan(100_000);
    expect(context.usedTokens).toBeGreaterThan(1000);
    expect(context.parts.map(({ name }) => name)).toContain("System prompt");
    await go(agent);
    const { lines, run: ended } = await alice.finish(run.id);
    expect(ended).toMatchObject({ status: "completed", result: "done", waitingFor: null });
    expect(lines.filter((line) => isReplay(line, messageId))).toHaveLength(1);
    const told = model.calls.filter((call) => call.told.includes(prompt)).map((call) => call.told);
    expect(told.at(-1)).toContain(JSON.stringify(words.text).slice(1, -1));
  });

  test("that begins with a slash is text where the CLI has no such command, also where its own interface would have", async () => {
    const { agent, run } = await begin(bash(untilGo));
    await untilTool(run);
    const text = "/status page returns 500, look at that first";
    await alice.ok("POST", `/v1/runs/${run.id}/messages`, { text });
    await go(agent);
    expect((await alice.finish(run.id)).run).toMatchObject({ status: "completed", result: "done" });
    expect(model.calls.filter((call) => call.told.includes(text))).not.toEqual([]);
  });

  test("is refused where nobody reads it", async () => {
    const shell = await alice.createAgent("shell", { runtime: "shell" });
    const run = await alice.send(shell.id, "echo up; exec sleep 600");
    await alice.firstLine(run.id);
    const path = `/v1/runs/${run.id}/messages`;
    expect(await alice.call("POST", path, { text: "x" })).toMatchObject({ status: 409, body: { code: "conflict" } });
    expect((await alice.call("GET", `/v1/runs/${run.id}/context`)).status).toBe(409);
    await alice.ok("POST", `/v1/runs/${run.id}/interrupt`);
    expect(await alice.call("POST", path, { text: "x" })).toMatchObject({ status: 409, body: { code: "conflict" } });
    expect((await alice.call("POST", path, { text: " " })).status).toBe(400);
  });
});

describe("a message", () => {
  /** A picture of one dot, padded to so many bytes by a chunk that nobody reads. */
  function picture(bytes = 0): Buffer {
    const dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4AWNoaGgAAAMEAYFZUG5DAAAAAElFTkSuQmCC";
    const whole = Buffer.from(dot, "base64");
    const [before, end] = [whole.subarray(0, -12), whole.subarray(-12)];
    if (bytes === 0) return whole;
    const padding = Buffer.alloc(bytes - whole.length);
    padding.writeUInt32BE(padding.length - 12);
    padding.write("juNK", 4);
    padding.writeInt32BE(crc32(padding.subarray(4, -4)) | 0, padding.length - 4);
    return Buffer.concat([before, padding, end]);
  }
  const largest = 8 * 2 ** 20;

  test("has attachments: images travel as images, others are named, and nothing but a file is opened", async () => {
    const { agent, run: first } = await begin(say("ready"));
    await alice.finish(first.id);
    const files = { "dot.png": picture(), "large.png": picture(largest), "over.png": picture(largest + 1) };
    for (const [name, bytes] of Object.entries(files))
      await alice.ok("PUT", `/v1/agents/${agent.id}/files/attachments/${name}`, bytes);
    await alice.ok("PUT", `/v1/agents/${agent.id}/files/notes/plan%E2%80%A8%ED%95%9C.txt`, "plan");
    const home = join(berth.hostDir, "mnt", await userIdOf(alice), "workspace", `agent-${agent.id}`);
    execFileSync("mkfifo", ["-m", "666", join(home, "pipe.png")]);
    symlinkSync("/etc/shadow", join(home, "link.png"));
    const attachments = [
      ...Object.keys(files).map((name) => `attachments/${name}`),
      "notes/plan\u2028한.txt",
      "pipe.png",
      "link.png",
      "none.png",
    ];
    const prompt = `Look at these, number ${++count}.`;
    const path = `/v1/agents/${agent.id}/runs`;
    const run = await alice.ok<Run>("POST", path, { prompt, attachments }, { "idempotency-key": "looked" });
    expect(run.attachments).toEqual(attachments);
    expect((await alice.finish(run.id)).run).toMatchObject({ status: "completed", attachments });
    const { told } = model.calls.find((call) => call.stream && call.told.includes(prompt))!;
    const images = [...told.matchAll(/"media_type":"image\/\w+","data":"([^"]*)"/g)].map(([, data]) => data);
    expect(images).toHaveLength(2);
    expect(images[0]).toBe(picture().toString("base64"));
    const at = `/workspace/agent-${agent.id}`;
    for (const line of [
      `${at}/attachments/dot.png (shown here)`,
      `${at}/attachments/over.png (an image, too large to be shown with the message)`,
      `${at}/notes/plan\u2028한.txt\\n`,
      `${at}/pipe.png (not a file)`,
      `${at}/link.png (cannot be read)`,
      `${at}/none.png (cannot be read)`,
    ])
      expect(told).toContain(line);
    const again = { prompt, attachments: ["pipe.png"] };
    expect((await alice.call("POST", path, again, { "idempotency-key": "looked" })).status).toBe(409);
    for (const bad of ["/etc/passwd", "../x", "a//b", ".berth/env"])
      expect([bad, (await alice.call("POST", path, { prompt, attachments: [bad] })).status]).toEqual([bad, 400]);
    const many = Array.from({ length: 21 }, () => "x");
    expect((await alice.call("POST", path, { prompt, attachments: many })).status).toBe(400);
  });

  test("of 1 MiB reaches the model whole, and an answer too long to be read ends the turn all the same", async () => {
    const { agent, run } = await begin(say("word ".repeat(450_000)));
    expect((await alice.finish(run.id)).run).toMatchObject({ status: "completed", result: null });
    const head = `Long letter ${++count}: `;
    const prompt = head + "é".repeat((2 ** 20 - head.length) / 2) + "!".repeat((2 ** 20 - head.length) % 2);
    expect((await alice.runToEnd(agent.id, prompt)).run).toMatchObject({ status: "completed", prompt });
    expect(model.calls.some(({ told }) => told.includes(prompt))).toBe(true);
    expect((await alice.call("POST", `/v1/agents/${agent.id}/runs`, { prompt: `${prompt}!` })).status).toBe(413);
  });
});

describe("an interrupt", () => {
  test("stops the turn and keeps the conversation", async () => {
    const { agent, run, prompt } = await begin(bash("timeout 300 tail -f /dev/null"));
    await untilTool(run);
    const stopped = await alice.ok<Run>("POST", `/v1/runs/${run.id}/interrupt`);
    expect(stopped).toMatchObject({ status: "cancelled", reason: "cancelled" });
    // By the CLI itself, which says that it can be asked.
    const { lines } = await alice.finish(run.id);
    expect(lines.find((line) => line.includes('"subtype":"init"'))).toContain('"interrupt_receipt_v1"');
    expect(lines.some((line) => line.includes('"terminal_reason":"aborted_tools"'))).toBe(true);
    const next = await alice.runToEnd(agent.id, "And now?");
    expect(next.run).toMatchObject({ status: "completed", result: "done" });
    expect(model.calls.at(-1)!.told).toContain(prompt);
    expect((await alice.call("POST", `/v1/runs/${run.id}/interrupt`)).status).toBe(409);
  });

  test("ends what does not stop by itself", async () => {
    const { run } = await begin(bash("timeout 300 tail -f /dev/null"));
    await untilTool(run);
    const { pid } = (await berth.processes(await userIdOf(alice))).find(({ command }) =>
      command.includes("/claude --print"),
    )!;
    // It hears of nothing any more.
    process.kill(pid, "SIGSTOP");
    expect(await alice.ok<Run>("POST", `/v1/runs/${run.id}/interrupt`)).toMatchObject({ reason: "cancelled" });
  });
});

describe("what an agent asks", () => {
  test("permission: is told, answered once, and done with the input that was allowed", async () => {
    const { agent, run } = await begin(bash("echo asked > made.txt"), { permissions: "ask" });
    const waiting = await untilWaiting(run);
    expect(waiting).toMatchObject({ kind: "permission", tool: "Bash", input: { command: "echo asked > made.txt" } });
    const path = `/v1/runs/${run.id}/answers`;
    const input = { ...waiting.input, command: "echo allowed > made.txt" };
    const answer = { requestId: waiting.requestId, behavior: "allow", updatedInput: input };
    const stranger = await berth.client("stranger");
    expect((await stranger.call("POST", path, answer)).status).toBe(404);
    expect(await alice.ok<Run>("POST", path, answer)).toMatchObject({ waitingFor: null });
    expect(await alice.call("POST", path, answer)).toMatchObject({ status: 409 });
    expect((await alice.finish(run.id)).run).toMatchObject({ status: "completed", result: "done" });
    expect((await alice.call("GET", `/v1/agents/${agent.id}/files/made.txt`)).body).toBe("allowed\n");
  });

  test("permission: a refusal reaches the model with its reason", async () => {
    const { run, prompt } = await begin(bash("echo asked > made.txt"), { permissions: "ask" });
    const { requestId } = await untilWaiting(run);
    const message = "Not before Friday.";
    await alice.ok("POST", `/v1/runs/${run.id}/answers`, { requestId, behavior: "deny", message });
    expect((await alice.finish(run.id)).run.status).toBe("completed");
    expect(model.calls.findLast(({ told }) => told.includes(prompt))!.told).toContain(message);
  });

  test("permission for more than the API shows is allowed as it was asked", async () => {
    const content = "y".repeat(100_000);
    const { agent, run } = await begin(use("Write", { file_path: "big.txt", content }), { permissions: "ask" });
    const { requestId, input } = await untilWaiting(run);
    expect(input).toBeNull();
    await alice.ok("POST", `/v1/runs/${run.id}/answers`, { requestId, behavior: "allow" });
    expect((await alice.finish(run.id)).run.status).toBe("completed");
    expect((await alice.call("GET", `/v1/agents/${agent.id}/files/big.txt`)).body).toBe(content);
  });

  test("a question can be answered however much was said before it", async () => {
    const options = ["red", "blue"].map((label) => ({ label, description: label }));
    const questions = [{ question: "Which colour?", header: "Colour", multiSelect: false, options }];
    const { run, prompt } = await begin(use("AskUserQuestion", { questions }));
    const { requestId } = await untilWaiting(run);
    const say = (text: string) => alice.call("POST", `/v1/runs/${run.id}/messages`, { text });
    for (let length = 32_000; length >= 1; length = Math.floor(length / 2))
      while ((await say("é".repeat(length))).status === 202);
    const updatedInput = { questions, answers: { "Which colour?": "blue" } };
    await alice.ok("POST", `/v1/runs/${run.id}/answers`, { requestId, behavior: "allow", updatedInput });
    expect((await alice.finish(run.id)).run).toMatchObject({ status: "completed", result: "done" });
    expect(model.calls.findLast(({ told }) => told.includes(prompt))!.told).toContain("blue");
  });

  test("a question: waits through the deaths of host agent and gateway, and takes the answer of any device", async () => {
    const options = [
      { label: "red", description: "r" },
      { label: "blue", description: "b" },
    ];
    const questions = [{ question: "Which colour?", header: "Colour", multiSelect: false, options }];
    const { run, prompt } = await begin(use("AskUserQuestion", { questions }));
    const waiting = await untilWaiting(run);
    expect(waiting).toMatchObject({ kind: "question", tool: "AskUserQuestion", input: { questions } });
    await Promise.all([berth.host.kill(), berth.gateway.kill()]);
    await Promise.all([berth.host.start(), berth.gateway.start()]);
    expect(await untilWaiting(run)).toEqual(waiting);
    const updatedInput = { questions, answers: { "Which colour?": "blue" } };
    const answer = { requestId: waiting.requestId, behavior: "allow", updatedInput };
    await until(
      async () => (await alice.call("POST", `/v1/runs/${run.id}/answers`, answer)).status === 200,
      "it takes",
    );
    expect((await alice.finish(run.id)).run).toMatchObject({ status: "completed", result: "done" });
    expect(model.calls.findLast(({ told }) => told.includes(prompt))!.told).toContain("blue");
  });

  test("a question is withdrawn where its turn is stopped, and waits for nobody", async () => {
    const options = ["red", "blue"].map((label) => ({ label, description: label }));
    const questions = [{ question: "Which colour?", header: "Colour", multiSelect: false, options }];
    const { run } = await begin(use("AskUserQuestion", { questions }));
    const { requestId } = await untilWaiting(run);
    const stopped = await alice.ok<Run>("POST", `/v1/runs/${run.id}/interrupt`);
    expect(stopped).toMatchObject({ reason: "cancelled", waitingFor: null });
    const { lines } = await alice.finish(run.id);
    expect(lines.some((line) => line.includes('"control_cancel_request"') && line.includes(requestId!))).toBe(true);
    const answer = { requestId, behavior: "deny" };
    expect((await alice.call("POST", `/v1/runs/${run.id}/answers`, answer)).status).toBe(409);
  });

  test("what nobody here can answer, a form of an MCP server, is refused at once, and the turn goes on", async () => {
    const prompt = `Task number ${++count}.`;
    scripts.set(prompt, ({ told }) =>
      told.includes("tool_use_id") || told.includes("heard") ? say("done") : use("mcp__asker__ask", {}),
    );
    const agent = await alice.createAgent(`turn-${count}`);
    const server = { command: "python3", args: ["asker.py"] };
    const files = {
      "asker.py": asker,
      ".mcp.json": JSON.stringify({ mcpServers: { asker: server } }),
      ".claude/settings.json": JSON.stringify({ enableAllProjectMcpServers: true }),
    };
    for (const [name, text] of Object.entries(files))
      await alice.ok("PUT", `/v1/agents/${agent.id}/files/${name}`, text);
    const { lines, run } = await alice.runToEnd(agent.id, prompt);
    expect(lines.some((line) => line.includes('"subtype":"elicitation"'))).toBe(true);
    expect(run).toMatchObject({ status: "completed", result: "done" });
    expect(model.calls.findLast(({ told }) => told.includes(prompt))!.told).toContain("heard cancel");
  });

  test("a plan: is asked before anything is done", async () => {
    const { run } = await begin(use("ExitPlanMode", { plan: "# Do it" }), { permissions: "plan" });
    const { kind, requestId } = await untilWaiting(run);
    expect(kind).toBe("plan");
    await alice.ok("POST", `/v1/runs/${run.id}/answers`, { requestId, behavior: "allow" });
    expect((await alice.finish(run.id)).run.status).toBe("completed");
  });
});

describe("a turn whose container is lost", () => {
  const loseContainer = async () => {
    const userId = await userIdOf(alice);
    const mine = (await berth.containers()).filter(({ Labels }) => Labels["berth.user"] === userId);
    await Promise.all(mine.map(({ Id }) => engine.getContainer(Id).remove({ force: true })));
  };
  const after = async ({ id, agentId }: Run) => {
    const { items } = await alice.ok<{ items: Run[] }>("GET", `/v1/runs?agentId=${agentId}`);
    return items.find(({ continues }) => continues === id) ?? null;
  };

  test("is taken up by a run of its own, which hears once what was said and not taken, also when the host agent dies too", async () => {
    const { agent, run, prompt } = await begin(bash("echo x >> ran; timeout 300 tail -f /dev/null"), {
      onInterruption: "continue",
    });
    await untilTool(run);
    const { messageId } = await alice.ok<{ messageId: string }>("POST", `/v1/runs/${run.id}/messages`, {
      text: "And be quick.",
    });
    await alice.untilOutput(run.id, (data) => data.includes(messageId));
    await berth.host.kill();
    await loseContainer();
    await berth.host.start();
    const next = await until(() => after(run), "it goes on");
    expect(next).toMatchObject({ agentId: agent.id, prompt, trigger: { kind: "continuation", triggerId: null } });
    const { lines, run: ended } = await alice.finish(next.id);
    expect(ended).toMatchObject({ status: "completed", result: "done", continues: run.id });
    expect(await alice.run(run.id)).toMatchObject({ status: "failed", reason: "container_lost", continues: null });
    expect(lines.filter((line) => isReplay(line, messageId))).toHaveLength(1);
    const told = model.calls.filter((call) => call.stream && call.told.includes(prompt)).map((call) => call.told);
    expect(told.at(-1)!.split(prompt)).toHaveLength(2);
    expect(told.at(-1)!.split("And be quick.")).toHaveLength(2);
    expect((await alice.runToEnd(agent.id, "And now?")).run).toMatchObject({ status: "completed", continues: null });
  });

  test("before its CLI had its message is begun, and no turn that was cancelled before it goes on", async () => {
    const {
      agent,
      run: cancelled,
      prompt,
    } = await begin(bash("echo x >>ran; timeout 300 tail -f /dev/null"), {
      onInterruption: "continue",
    });
    // The tool is said before it begins.
    const isThere = (name: string) =>
      until(
        async () => (await alice.call("GET", `/v1/agents/${agent.id}/files/${name}`)).status === 200,
        `${name} is there`,
      );
    await isThere("ran");
    await alice.ok("POST", `/v1/runs/${cancelled.id}/cancel`);
    const command = "[ -e started ] || { touch started; exec timeout 300 tail -f /dev/null; }";
    const settings = { hooks: { SessionStart: [{ hooks: [{ type: "command", command }] }] } };
    await alice.ok("PUT", `/v1/agents/${agent.id}/files/.claude/settings.json`, JSON.stringify(settings));
    const run = await alice.send(agent.id, "Rather do this.");
    await isThere("started");
    const asked = model.calls.length;
    await loseContainer();
    const next = await until(() => after(run), "it goes on");
    expect((await alice.finish(next.id)).run).toMatchObject({ status: "completed", result: "done" });
    const told = model.calls.slice(asked).filter((call) => call.stream && call.told.includes(prompt));
    expect(told.map((call) => call.prompt)).toEqual(["Rather do this."]);
    expect((await alice.call<string>("GET", `/v1/agents/${agent.id}/files/ran`)).body).toBe("x\n");
  });

  test("that has said its last words is over, and the run that takes it up has them as its result", async () => {
    const prompt = `Task number ${++count}.`;
    scripts.set(prompt, () => say("All is well."));
    const agent = await alice.createAgent(`turn-${count}`, { onInterruption: "continue" });
    // Between its last words and its result.
    const command = "[ -e said ] || { touch said; exec timeout 300 tail -f /dev/null; }";
    const settings = { hooks: { Stop: [{ hooks: [{ type: "command", command }] }] } };
    await alice.ok("PUT", `/v1/agents/${agent.id}/files/.claude/settings.json`, JSON.stringify(settings));
    const run = await alice.send(agent.id, prompt);
    const file = `/v1/agents/${agent.id}/files/said`;
    await until(async () => (await alice.call("GET", file)).status === 200, "it has said all");
    await loseContainer();
    const next = await until(() => after(run), "it goes on");
    expect((await alice.finish(next.id)).run).toMatchObject({ status: "completed", result: "All is well." });
    expect(await alice.run(run.id)).toMatchObject({ reason: "container_lost", result: null });
    expect(model.callsOf(prompt).filter(({ stream }) => stream)).toHaveLength(1);
  });

  const killCli = async () => {
    const found = await berth.processes(await userIdOf(alice));
    for (const { pid } of found.filter(({ command }) => command.includes("/claude --print")))
      process.kill(pid, "SIGKILL");
  };
  test.each([
    { what: "container", lose: loseContainer, end: { reason: "container_lost", exitCode: null } },
    { what: "CLI", lose: killCli, end: { reason: "nonzero_exit", exitCode: 137 } },
  ])(
    "after its result: its $what lost, it ends as that, with its answer, and nothing takes it up",
    async ({ lose, end }) => {
      const { agent, run } = await begin(bash(untilGo), { onInterruption: "continue" });
      await untilTool(run);
      // So the CLI does not hear that its input has ended, and waits for a further word after its result.
      const processes = await berth.processes(await userIdOf(alice));
      for (const { pid, command } of processes) if (command.startsWith("tail -f")) process.kill(pid, "SIGSTOP");
      await go(agent);
      await alice.untilOutput(run.id, (data) => data.includes('"type":"result"'));
      await lose();
      expect((await alice.finish(run.id)).run).toMatchObject({ status: "failed", result: "done", ...end });
      expect(await after(run)).toBeNull();
    },
  );

  test("stops where its agent is not told to go on", async () => {
    const { run } = await begin(bash("timeout 300 tail -f /dev/null"));
    await untilTool(run);
    await loseContainer();
    expect((await alice.finish(run.id)).run).toMatchObject({ reason: "container_lost" });
    expect(await after(run)).toBeNull();
  });
});
