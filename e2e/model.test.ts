import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Agent, Run } from "@berth/shared/resources";
import { costOf } from "../host-agent/src/model/prices.ts";
import { type Client, textOf } from "./harness/client.ts";
import { until } from "../gateway/test/wait.ts";
import { type Berth, startBerth, userIdOf } from "./harness/harness.ts";
import { type ModelCall, type ModelEndpoint, type Scripted, startModel } from "./harness/model-endpoint.ts";

const scripts = new Map<string, (call: ModelCall) => Scripted | null>();
let model: ModelEndpoint;
let berth: Berth;
let alice: Client;
/** Runs that take a minute; they go on beside the tests. */
let silent: Promise<{ lines: string[]; run: Run }>;
let lingering: Promise<{ lines: string[]; run: Run }>;
let background: Promise<{ run: Run; left: string }>;
const imagePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

beforeAll(async () => {
  model = await startModel((call) => scripts.get(call.prompt.trim())?.(call) ?? null);
  berth = await startBerth({
    BERTH_MODEL_URL: model.url,
    ANTHROPIC_API_KEY: "sk-upstream",
    BERTH_IDLE_SECONDS: "600",
    BERTH_MEMORY_BYTES: String(768 * 2 ** 20),
    BERTH_MEMORY_WARN_BYTES: String(700 * 2 ** 20),
    BERTH_DISK_BYTES: String(2 ** 26),
  });
  alice = await berth.client("alice");
  const slow = await berth.client("slow");
  silent = (async () => {
    const agent = await slow.createAgent("silent");
    await slow.runToEnd(agent.id, "demo: say hello");
    // The CLI reads this file before it says anything, and waits for a writer that never comes.
    const settings = join(await agentDirectory(slow, agent), ".claude/.claude.json");
    rmSync(settings);
    execFileSync("mkfifo", ["-m", "666", settings]);
    return slow.runToEnd(agent.id, "say something");
  })();
  lingering = (async () => {
    const agent = await slow.createAgent("lingering");
    await slow.runToEnd(agent.id, "demo: say hello");
    const bin = join(await agentDirectory(slow, agent), "bin");
    const result = '{"is_error":false,"result":"all done","subtype":"success","type":"result"}';
    mkdirSync(bin);
    writeFileSync(join(bin, "claude"), `#!/bin/sh\necho '${result}'\nexec sleep 3600\n`);
    chmodSync(join(bin, "claude"), 0o755);
    await slow.ok("PUT", `/v1/agents/${agent.id}/env`, { PATH: `/workspace/agent-${agent.id}/bin:${imagePath}` });
    return slow.runToEnd(agent.id, "say something");
  })();
  background = (async () => {
    const agent = await slow.createAgent("background");
    const input = { command: "sleep 40; echo built > built.txt", run_in_background: true };
    scripts.set("Build in the background.", ({ nth }) => ({
      blocks:
        nth === 0 ? [{ type: "tool_use", id: "tool_1", name: "Bash", input }] : [{ type: "text", text: "started" }],
    }));
    const { run } = await slow.runToEnd(agent.id, "Build in the background.");
    return { run, left: readFileSync(join(await agentDirectory(slow, agent), "built.txt"), "utf8") };
  })();
  for (const promise of [silent, lingering, background]) promise.catch(() => undefined);
});
afterAll(async () => {
  await berth?.close();
  await model?.close();
});

/** A new agent's run with this prompt, while the model answers as the script says. */
async function runScripted(
  prompt: string,
  script: (call: ModelCall) => Scripted | null,
  env: Record<string, string> = {},
) {
  scripts.set(prompt, script);
  const agent = await alice.createAgent(prompt.slice(0, 60));
  await alice.ok("PUT", `/v1/agents/${agent.id}/env`, env);
  const ended = await alice.runToEnd(agent.id, prompt);
  await alice.ok("DELETE", `/v1/agents/${agent.id}`);
  return { ...ended, calls: model.callsOf(prompt) };
}
const agentDirectory = async (client: Client, agent: Agent) =>
  join(berth.hostDir, "mnt", await userIdOf(client), "workspace", `agent-${agent.id}`);

describe("an agent's model and instructions", () => {
  const asJson = (text: string) => JSON.stringify(text).slice(1, -1);

  test("reach the model, quotes and flags as they are, and others hold from the next run on", async () => {
    const instructions = `--model other; 'single' "double" $HOME\nÄnd a line 🙂`;
    const agent = await alice.createAgent("instructed", { model: "first-model", instructions });
    const send = async (word: string) => {
      await alice.runToEnd(agent.id, `demo: say ${word}`);
      return model.callsOf(`demo: say ${word}`)[0]!;
    };
    const first = await send("instructed");
    expect([first.model, first.told]).toEqual(["first-model", expect.stringContaining(asJson(instructions))]);

    await alice.ok("PATCH", `/v1/agents/${agent.id}`, { model: "second-model", instructions: "Other words." });
    const second = await send("changed");
    expect([second.model, second.told]).toEqual(["second-model", expect.stringContaining("Other words.")]);
    // The conversation went on: what was said first is in it, and what replaced it comes later.
    expect(second.told.indexOf("Other words.")).toBeGreaterThan(second.told.indexOf(asJson(instructions)));

    await alice.ok("PATCH", `/v1/agents/${agent.id}`, { instructions: null });
    expect((await send("freed")).told).toMatch(/no longer present: [^"]*\/rules\/berth\.md/);
    await alice.ok("DELETE", `/v1/agents/${agent.id}`);
  });

  test("of 64 KiB arrive whole", async () => {
    const instructions = `${"x".repeat(65_530)} END`;
    const agent = await alice.createAgent("long", { instructions });
    await alice.runToEnd(agent.id, "demo: say long");
    expect(model.callsOf("demo: say long")[0]?.told).toContain(instructions);
    await alice.ok("DELETE", `/v1/agents/${agent.id}`);
  });
});

describe("a model that refuses", () => {
  test.each([401, 403])("the key with %i ends the run as model_auth at once", async (status) => {
    const { run, calls } = await runScripted(`refused with ${status}`, () => ({
      status,
      message: "bad key sk-upstream",
    }));
    expect(run).toMatchObject({ status: "failed", reason: "model_auth", exitCode: 1 });
    expect(run.result).toMatch(/API key|authenticate|API Error/);
    expect(calls).toHaveLength(1);
    if (status === 401) expect(JSON.stringify(run)).not.toContain("sk-upstream");
  });

  test.each([429, 529])("with %i to the end ends the run as model_rate_limited", async (status) => {
    const { run, calls } = await runScripted(`slow down ${status}`, () => ({ status }), {
      CLAUDE_CODE_MAX_RETRIES: "1",
    });
    expect(run).toMatchObject({ status: "failed", reason: "model_rate_limited" });
    expect(calls.length).toBeGreaterThan(1);
  });

  test("with 429 once and then answers leaves a run that completes", async () => {
    const { run, calls } = await runScripted("slow down once", ({ nth }) => (nth === 0 ? { status: 429 } : null));
    expect(run).toMatchObject({ status: "completed", reason: "completed" });
    expect(calls.length).toBeGreaterThan(1);
  });

  test("the request ends the run as agent_error, with what the CLI said", async () => {
    const { run } = await runScripted("refused request", () => ({ status: 400, message: "no such thing" }));
    expect(run).toMatchObject({ status: "failed", reason: "agent_error" });
    expect(run.result).toContain("no such thing");
  });
});

describe("usage", () => {
  const sumOf = (prompt: string) => {
    const charged = model.charged.filter((one) => one.prompt === prompt);
    const add = (key: keyof (typeof charged)[number]) => charged.reduce((sum, one) => sum + Number(one[key]), 0);
    const counts = {
      inputTokens: add("input_tokens"),
      outputTokens: add("output_tokens"),
      cacheReadTokens: add("cache_read_input_tokens"),
      cacheWriteTokens: add("cache_creation_input_tokens"),
    };
    return {
      calls: charged.length,
      usage: { ...counts, costUsd: expect.closeTo(costOf("claude-sonnet-5", counts), 9) as number },
    };
  };
  const tokens = {
    input_tokens: 1234,
    output_tokens: 77,
    cache_read_input_tokens: 4000,
    cache_creation_input_tokens: 900,
  };

  test("of a run is what the endpoint charged, over all its calls", async () => {
    const prompt = "demo: run echo counted";
    const { run } = await runScripted(prompt, () => ({ tokens }));
    expect(run.status).toBe("completed");
    expect(sumOf(prompt)).toEqual({ calls: 2, usage: run.usage });
  });

  test("of a stream that is cut is counted as far as it came, and the CLI goes on", async () => {
    const prompt = "demo: say cut off";
    const { run, calls } = await runScripted(prompt, ({ nth }) => ({ tokens, cut: nth === 0 }));
    expect(run.status).toBe("completed");
    expect(calls.length).toBeGreaterThan(1);
    expect(sumOf(prompt)).toEqual({ calls: calls.length, usage: run.usage });
  });

  test("is of Messages calls alone: the proxy passes nothing else", async () => {
    const shell = await alice.createAgent("caller", { runtime: "shell" });
    const call = (method: string, path: string) =>
      `curl -sS -o /dev/null -w '%{http_code} ' --path-as-is --unix-socket "$ANTHROPIC_UNIX_SOCKET" -H "x-api-key: $ANTHROPIC_API_KEY" -X ${method} -d '{"messages":[{"role":"user","content":"x"}]}' 'http://localhost${path}'`;
    const refused = [
      "GET /v1/messages",
      "POST /v1/models",
      "GET /v1/models",
      "POST /v1/messages/batches",
      "POST /v1/messages/../files",
      "POST //v1/messages",
      "POST /v1/complete",
      "DELETE /v1/messages",
      "GET http://other.example/v1/messages",
    ];
    const asked = ["POST /v1/messages", ...refused].map((line) => call(...(line.split(" ") as [string, string])));
    const { run } = await alice.runToEnd(shell.id, asked.join("; "));
    expect(run.result!.trim().split(" ")).toEqual(["200", ...refused.map(() => "404")]);
    expect(model.others).toEqual([]);
    await alice.ok("DELETE", `/v1/agents/${shell.id}`);
  });
});

describe("the memory limit", () => {
  const eat = `python3 -c 'x = b"x" * 2**30'`;
  const withNeighbour = async (prompt: string, runtime: "claude" | "shell") => {
    const agent = await alice.createAgent("eater", { runtime });
    const neighbour = await alice.createAgent("neighbour", { runtime: "shell" });
    const counting = await alice.send(neighbour.id, "for i in $(seq 1 300); do echo $i; sleep 0.01; done");
    const { run } = await alice.runToEnd(agent.id, prompt);
    const { lines, run: unharmed } = await alice.finish(counting.id);
    expect([lines.map(textOf).at(-1), unharmed.status, unharmed.oomKills]).toEqual(["300", "completed", 0]);
    expect((await alice.runToEnd(agent.id, runtime === "shell" ? "echo again" : "demo: say again")).run.status).toBe(
      "completed",
    );
    for (const { id } of [agent, neighbour]) await alice.ok("DELETE", `/v1/agents/${id}`);
    return run;
  };

  test("that kills the CLI ends the run as out_of_memory", async () => {
    const run = await withNeighbour(
      // Two that eat: beside one alone the CLI would be the smaller, whatever it says of itself.
      `demo: run echo 1000 > /proc/$PPID/oom_score_adj; ${eat} & ${eat}; wait`,
      "claude",
    );
    expect(run).toMatchObject({ status: "failed", reason: "out_of_memory", exitCode: 137 });
    expect(run.oomKills).toBeGreaterThanOrEqual(1);
  });

  test("that kills a tool leaves the CLI going, and counts", async () => {
    const run = await withNeighbour(`demo: run ${eat}; echo tool ended with $?`, "claude");
    expect(run).toMatchObject({ status: "completed", reason: "completed", exitCode: 0, oomKills: 1 });
    expect(run.result).toContain("tool ended with 137");
  });

  test("that kills a shell run's own process ends it as out_of_memory", async () => {
    expect(await withNeighbour(`exec ${eat}`, "shell")).toMatchObject({
      reason: "out_of_memory",
      exitCode: 137,
      oomKills: 1,
    });
    expect(await withNeighbour(`${eat}; echo on`, "shell")).toMatchObject({
      reason: "completed",
      exitCode: 0,
      oomKills: 1,
    });
  });
});

describe("a full disk", () => {
  test("is said, leaves every list readable, and the next run can make room", async () => {
    const full = await berth.client("full");
    const shell = await full.createAgent("shell", { runtime: "shell" });
    const claude = await full.createAgent("claude");
    await full.runToEnd(claude.id, "demo: say hello");
    const { run } = await full.runToEnd(shell.id, "head -c 100M /dev/zero > big");
    expect(run).toMatchObject({ status: "failed", reason: "disk_full", exitCode: 1 });
    expect(run.stderrTail === "" || /No space left|Disk quota exceeded/.test(run.stderrTail!)).toBe(true);
    await until(async () => (await full.workspace()).disk.usedBytes > 40 * 2 ** 20, "the workspace shows a full disk");
    for (const path of ["/v1/agents", "/v1/runs", `/v1/runs/${run.id}`, `/v1/runs/${run.id}/stderr`])
      expect((await full.call("GET", path)).status).toBe(200);
    const onFull = await full.runToEnd(claude.id, "demo: say on a full disk");
    expect(["disk_full", "completed"]).toContain(onFull.run.reason);
    expect((await full.runToEnd(shell.id, "echo words; exit 3")).run).toMatchObject({
      reason: "disk_full",
      exitCode: 3,
      result: "words\n",
    });
    expect((await full.runToEnd(shell.id, "rm big && echo room")).run).toMatchObject({
      status: "completed",
      result: "room\n",
    });
    const after = await full.runToEnd(claude.id, "demo: say works again");
    expect([after.run.status, after.run.result]).toEqual(["completed", "works again"]);
  });
});

describe("a disk that is full to its last block", () => {
  test("ends a run before it starts, says why, and nothing waits for it", async () => {
    const stuck = await berth.client("stuck");
    const shell = await stuck.createAgent("shell", { runtime: "shell" });
    await stuck.runToEnd(shell.id, "echo first");
    // Root's own part too, which no agent can take.
    const ballast = join(berth.hostDir, "mnt", await userIdOf(stuck), "trash/ballast");
    mkdirSync(ballast);
    const fill = "cat /dev/zero >big; at=0; while head -c 1024 /dev/zero >$at; do at=$((at + 1)); done";
    spawnSync("sh", ["-c", fill], { cwd: ballast });
    expect((await stuck.runToEnd(shell.id, "echo second")).run).toMatchObject({
      status: "failed",
      reason: "disk_full",
      exitCode: null,
    });
    rmSync(ballast, { recursive: true });
    expect((await stuck.runToEnd(shell.id, "echo third")).run).toMatchObject({ result: "third\n" });
  });
});

describe("a conversation", () => {
  test("goes on in a new container, and says so when its files are gone", async () => {
    const agent = await alice.createAgent("talker");
    await alice.runToEnd(agent.id, "demo: say first");
    const { containerId } = await alice.workspace();
    await alice.ok("POST", "/v1/workspace/stop");
    const resumed = await alice.runToEnd(agent.id, "demo: say second");
    expect((await alice.workspace()).containerId).not.toBe(containerId);
    expect(model.callsOf("demo: say second")[0]!.messages).toBeGreaterThan(
      model.callsOf("demo: say first")[0]!.messages,
    );
    expect(resumed.lines.join("\n")).not.toContain("session_missing");
    rmSync(join(await agentDirectory(alice, agent), ".claude/projects"), { recursive: true });
    const fresh = await alice.runToEnd(agent.id, "demo: say third");
    expect(JSON.parse(fresh.lines[0]!)).toMatchObject({ type: "session_missing" });
    expect(fresh.run).toMatchObject({ status: "completed", result: "third" });
    expect(model.callsOf("demo: say third")[0]!.messages).toBe(model.callsOf("demo: say first")[0]!.messages);
    const onward = await alice.runToEnd(agent.id, "demo: say fourth");
    expect(onward.lines.join("\n")).not.toContain("session_missing");
    expect(model.callsOf("demo: say fourth")[0]!.messages).toBeGreaterThan(
      model.callsOf("demo: say third")[0]!.messages,
    );
    await alice.ok("DELETE", `/v1/agents/${agent.id}`);
  });

  test("whose file is damaged or has no message yet does not lock the agent out", async () => {
    const agent = await alice.createAgent("damaged");
    for (const damage of ["", '{"type":"queue-operation"}\n', '{"half']) {
      await alice.runToEnd(agent.id, "demo: run rm -f .claude/projects/*/*.jsonl");
      const directory = join(
        await agentDirectory(alice, agent),
        ".claude/projects",
        `-workspace-agent-${agent.id.replaceAll("_", "-")}`,
      );
      const { lines } = await alice.runToEnd(agent.id, "demo: say who");
      const session = lines.map((line) => (JSON.parse(line) as { session_id?: string }).session_id).find(Boolean);
      writeFileSync(join(directory, `${session}.jsonl`), damage);
      const { run } = await alice.runToEnd(agent.id, "demo: say again");
      expect([damage, run.status, run.result]).toEqual([damage, "completed", "again"]);
    }
    await alice.ok("DELETE", `/v1/agents/${agent.id}`);
  });

  test("that is cancelled in its first second leaves an agent that works", async () => {
    const agent = await alice.createAgent("hasty");
    for (const afterMs of [0, 100, 200, 300, 400, 500, 650, 800]) {
      const run = await alice.send(agent.id, "a word");
      await until(async () => (await alice.run(run.id)).status === "running", "the run is running");
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      await alice.call("POST", `/v1/runs/${run.id}/cancel`);
      const { run: next } = await alice.runToEnd(agent.id, "demo: say fine");
      expect([afterMs, next.status, next.result]).toEqual([afterMs, "completed", "fine"]);
      if (afterMs % 200 === 0) continue;
      await alice.ok("DELETE", `/v1/agents/${agent.id}`);
      Object.assign(agent, await alice.createAgent("hasty"));
    }
  });
});

describe("a CLI that does not do what it should", () => {
  test("and stays after its result is ended, and the run is completed", async () => {
    const { run } = await lingering;
    expect(run).toMatchObject({ status: "completed", reason: "completed", result: "all done" });
    expect(Date.parse(run.endedAt!) - Date.parse(run.startedAt!)).toBeGreaterThan(29_000);
  });

  test("but works on in the background is awaited, also past half a minute after its first result", async () => {
    const { run, left } = await background;
    expect(run).toMatchObject({ status: "completed", exitCode: 0 });
    expect(left).toBe("built\n");
  });

  test("and says nothing for a minute ends as start_timeout", async () => {
    const { lines, run } = await silent;
    expect(run).toMatchObject({ status: "failed", reason: "start_timeout" });
    expect(lines).toEqual([]);
    expect(Date.parse(run.endedAt!) - Date.parse(run.startedAt!)).toBeGreaterThan(59_000);
  });
});

describe("limits that the operator sets", () => {
  const dear = { tokens: { output_tokens: 200_000 } }; // 2 USD
  const restart = async (env: Record<string, string>) => {
    await berth.host.kill("SIGTERM");
    await berth.host.start(env);
    await until(async () => (await alice.call("GET", "/readyz")).status === 200, "the host is live again");
  };

  test("a run past its budget is ended, and its next run has a new one", async () => {
    await restart({ BERTH_RUN_BUDGET_USD: "1.5" });
    const prompt = "demo: run tail -f /dev/null";
    const { run, calls } = await runScripted(prompt, () => dear);
    expect(run).toMatchObject({ status: "failed", reason: "budget_reached", usage: { outputTokens: 200_000 } });
    expect(calls).toHaveLength(1);
    expect((await runScripted("demo: say cheap", () => null)).run.status).toBe("completed");
  });

  test("of 200 calls that a run makes at once its budget is exceeded by one", async () => {
    await restart({ BERTH_RUN_BUDGET_USD: "0.01" });
    scripts.set("demo: say burst", () => dear);
    const agent = await alice.createAgent("burst", { runtime: "shell" });
    const call = JSON.stringify({
      model: "claude-sonnet-5",
      max_tokens: 9,
      messages: [{ role: "user", content: "demo: say burst" }],
    });
    const { run } = await alice.runToEnd(
      agent.id,
      `curl -sS -Z --parallel-max 200 --unix-socket /run/berth/$BERTH_AGENT_ID.sock -H "x-api-key: $ANTHROPIC_API_KEY" -d '${call}' 'http://localhost/v1/messages?n=[1-200]'; exec sleep 1000`,
    );
    expect(run).toMatchObject({ reason: "budget_reached", usage: { outputTokens: 200_000 } });
    expect(model.callsOf("demo: say burst")).toHaveLength(1);
  });

  test("a user past the day's budget is answered by no model until tomorrow, and others are", async () => {
    await restart({ BERTH_DAILY_BUDGET_USD: "3" });
    scripts.set("demo: say dear", () => dear);
    const spender = await berth.client("spender");
    const agent = await spender.createAgent("spender");
    const runs = [];
    for (let nth = 0; nth < 3; nth++) runs.push((await spender.runToEnd(agent.id, "demo: say dear")).run.reason);
    expect(runs).toEqual(["completed", "budget_reached", "budget_reached"]);
    expect(model.callsOf("demo: say dear")).toHaveLength(2);
    const other = await berth.client("other");
    expect((await other.runToEnd((await other.createAgent("other")).id, "demo: say hello")).run.status).toBe(
      "completed",
    );
  });

  test("a run that asks for more than another run has left of the day ends by the budget too", async () => {
    await restart({ BERTH_DAILY_BUDGET_USD: "3" });
    scripts.set("demo: say dear too", () => ({ tokens: { output_tokens: 400_000 } }));
    const user = await berth.client("pair");
    const [asker, spender] = [await user.createAgent("asker", { runtime: "shell" }), await user.createAgent("other")];
    const call = JSON.stringify({ messages: [] });
    const ask = `curl -sS -o /dev/null -w '%{http_code}' --unix-socket /run/berth/$BERTH_AGENT_ID.sock -H "x-api-key: $ANTHROPIC_API_KEY" -d '${call}' http://localhost/v1/messages`;
    const waiting = await user.send(asker.id, `until [ "$(${ask})" = 402 ]; do sleep 0.5; done; exec sleep 1000`);
    await user.runToEnd(spender.id, "demo: say dear too");
    expect((await user.finish(waiting.id)).run.reason).toBe("budget_reached");
  });

  test("a run past its time is ended as timed_out", async () => {
    await restart({ BERTH_RUN_TIMEOUT_SECONDS: "2" });
    const { run } = await runScripted("demo: run tail -f /dev/null", () => null);
    expect(run).toMatchObject({ status: "failed", reason: "timed_out" });
    expect(Date.parse(run.endedAt!) - Date.parse(run.startedAt!)).toBeGreaterThanOrEqual(2000);
    expect((await berth.processes(await userIdOf(alice))).filter(({ uid }) => uid >= 20_000)).toEqual([]);
  });
});
