import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Agent, Run } from "@berth/shared/resources";
import type { Host } from "@berth/shared/hosts";
import { type Client, textOf } from "./harness/client.ts";
import { patienceMs, until } from "../gateway/test/wait.ts";
import { type Berth, startBerth, userIdOf } from "./harness/harness.ts";

const logBytes = 3 * 2 ** 19;
let berth: Berth;
let alice: Client;
let shell: Agent;
beforeAll(async () => {
  berth = await startBerth({ BERTH_LOG_BYTES: String(logBytes), BERTH_IDLE_SECONDS: "600" });
  alice = await berth.client("alice");
  shell = await alice.createAgent("shell", { runtime: "shell" });
});
afterAll(() => berth?.close());

/** Command lines of the agents' processes in the user's container. */
const ofAgents = async () =>
  (await berth.processes(await userIdOf(alice))).filter(({ uid }) => uid >= 20_000).map(({ command }) => command);

describe("a shell run", () => {
  test("comes as lines, with its exit code, its standard error and the end of its output", async () => {
    const { lines, run } = await alice.runToEnd(shell.id, "echo one; echo two; echo bad >&2; exit 7");
    expect(lines.map(textOf)).toEqual(["one", "two"]);
    expect(run).toMatchObject({
      status: "failed",
      reason: "nonzero_exit",
      exitCode: 7,
      result: "one\ntwo\n",
      stderrTail: "bad\n",
      logBytes: 8,
    });
    expect((await alice.call("GET", `/v1/runs/${run.id}/stderr`)).body).toBe("bad\n");
    await expect.poll(() => alice.run(run.id), { timeout: patienceMs }).toEqual(run);
  });

  test("keeps all of its standard error, of which the last MiB is told", async () => {
    const { run } = await alice.runToEnd(shell.id, "seq 200000 >&2; echo end >&2; exit 1");
    expect(run).toMatchObject({
      reason: "nonzero_exit",
      exitCode: 1,
      stderrTail: expect.stringMatching(/\n200000\nend\n$/),
    });
    const told = (await alice.call<string>("GET", `/v1/runs/${run.id}/stderr`)).body;
    expect([told.length, told.slice(-11)]).toEqual([2 ** 20, "200000\nend\n"]);
  });

  test("executes in the agent's own directory as an unprivileged uid of its own", async () => {
    const { run } = await alice.runToEnd(
      shell.id,
      "pwd; id -u; stat -c '%a %u' .; grep -c '^CapEff:\\s*0*$' /proc/self/status; touch /etc/x",
    );
    const [cwd, uid, mode, caps] = run.result!.split("\n");
    expect(cwd).toBe(`/workspace/agent-${shell.id}`);
    expect(Number(uid)).toBeGreaterThanOrEqual(20_000);
    expect(mode).toBe(`700 ${uid}`);
    expect(caps).toBe("1");
    expect(run).toMatchObject({
      reason: "nonzero_exit",
      stderrTail: expect.stringContaining("Read-only file system") as string,
    });
  });

  test("resumes from any offset, also after its end", async () => {
    const { run } = await alice.runToEnd(shell.id, "seq 1 100");
    const all: { id: string | null; data: string }[] = [];
    for await (const event of alice.events(run.id)) if (event.event === "output") all.push(event);
    const middle = Number(all[49]!.id);
    const rest: string[] = [];
    for await (const event of alice.events(run.id, middle)) if (event.event === "output") rest.push(textOf(event.data));
    expect(rest).toEqual(Array.from({ length: 50 }, (_, at) => String(at + 51)));
  });

  test("shows bad bytes as U+FFFD, carriage returns and a last line without newline as they are", async () => {
    const { lines } = await alice.runToEnd(shell.id, "printf 'a\\xffb\\nc\\rd\\n{\"type\":1}\\nlast'");
    expect(lines.map(textOf)).toEqual(["a\uFFFDb", "c\rd", '{"type":1}', "last"]);
  });

  test("passes a line over 16 MiB in pieces that say so", async () => {
    const berthForBig = await startBerth({ BERTH_LOG_BYTES: String(2 ** 26) });
    try {
      const client = await berthForBig.client("big");
      const agent = await client.createAgent("big", { runtime: "shell" });
      const { lines } = await client.runToEnd(agent.id, "head -c 17000000 /dev/zero | tr '\\0' x; echo; echo end");
      const pieces = lines.map((line) => JSON.parse(line) as { text: string; more?: boolean });
      expect(pieces.map(({ text, more }) => [text.length, more ?? false])).toEqual([
        [16 * 2 ** 20, true],
        [17_000_000 - 16 * 2 ** 20, false],
        [3, false],
      ]);
    } finally {
      await berthForBig.close();
    }
  });
});

describe("a claude run", () => {
  test("executes the real CLI, which uses tools and goes on with its conversation", async () => {
    const agent = await alice.createAgent("claude", { instructions: "Answer like a sailor." });
    const first = await alice.runToEnd(agent.id, "demo: run echo ahoy > note.txt; cat note.txt");
    expect(first.run).toMatchObject({ status: "completed", reason: "completed", exitCode: 0 });
    expect(first.run.result).toContain("ahoy");
    expect(first.run.usage.inputTokens).toBeGreaterThan(0);
    expect(first.run.usage.outputTokens).toBeGreaterThan(0);
    const events = first.lines.map((line) => JSON.parse(line) as { type: string; session_id?: string });
    expect(events.map(({ type }) => type)).toEqual(
      expect.arrayContaining(["system", "assistant", "user", "stream_event", "result"]),
    );
    const second = await alice.runToEnd(agent.id, "what did you do?");
    const session = (lines: string[]) =>
      lines.map((line) => (JSON.parse(line) as { session_id?: string }).session_id).find(Boolean);
    expect(session(second.lines)).toBe(session(first.lines));
    expect(second.run.result).toMatch(/\b[2-9]\d* messages/);
    const told = () => alice.ok<Agent>("GET", `/v1/agents/${agent.id}`);
    await expect.poll(told, { timeout: patienceMs }).toMatchObject({ status: "idle", lastRunId: second.run.id });
  });

  test.each([
    ["quotes", `it's "quoted" \`and\` $HOME \\ done`],
    ["newlines", "first\nsecond\r\nthird\n"],
    ["flags", "--help --dangerously -p"],
    ["emoji", "👩‍🚀 naïve 日本語"],
  ])("hands over a prompt with %s as it is", async (name, prompt) => {
    const agent = await alice.createAgent(`prompt ${name}`);
    const { lines, run } = await alice.runToEnd(agent.id, `demo: say ${prompt}`);
    expect(run.status).toBe("completed");
    expect(run.prompt).toBe(`demo: say ${prompt}`);
    const said = lines.map((line) => JSON.parse(line) as { type: string; message?: { content: { text?: string }[] } });
    expect(
      said.flatMap(({ type, message }) => (type === "assistant" ? message!.content.map(({ text }) => text) : [])),
    ).toContain(prompt.trim());
    await alice.ok("DELETE", `/v1/agents/${agent.id}`);
  });

  test("refuses a prompt with NUL with a sentence, and one over 1 MiB as too large", async () => {
    expect(await alice.call("POST", `/v1/agents/${shell.id}/runs`, { prompt: "a\0b" })).toMatchObject({
      status: 400,
      body: { code: "invalid_request" },
    });
    expect(await alice.call("POST", `/v1/agents/${shell.id}/runs`, { prompt: "é".repeat(524_289) })).toMatchObject({
      status: 413,
      body: { code: "payload_too_large" },
    });
  });

  test("hands over a prompt of 1 MiB whole", async () => {
    const script = `wc -c < "$0"; : `.padEnd(2 ** 20 - 1, "x");
    const { lines } = await alice.runToEnd(shell.id, script);
    expect(lines.map(textOf)).toEqual([String(2 ** 20 - 1)]);
  });
});

describe("an agent's environment", () => {
  test("reaches its runs and .berth/env, and in clear neither an answer nor a database nor a log", async () => {
    const env = { TOKEN: "s3cret-value", QUOTED: `it's "x" $y`, MULTI: "a\nb" };
    const put = await alice.ok<Agent>("PUT", `/v1/agents/${shell.id}/env`, env);
    expect(put.envKeys).toEqual(["MULTI", "QUOTED", "TOKEN"]);
    const files = [
      "host/host.db",
      "host/host.db-wal",
      "gateway.sqlite",
      "gateway.sqlite-wal",
      "host.log",
      "gateway.log",
    ];
    const atRest = files.map((file) => readFileSync(join(berth.dir, file), "latin1")).join("");
    expect(atRest).toContain(shell.id);
    expect(atRest).not.toContain("s3cret");
    const { run } = await alice.runToEnd(
      shell.id,
      `printf '%s|%s|%s\\n' "$TOKEN" "$QUOTED" "$MULTI"; stat -c %a .berth/env; set -a; unset TOKEN; . .berth/env; echo "$TOKEN $QUOTED"`,
    );
    expect(run.result).toBe(`s3cret-value|it's "x" $y|a\nb\n600\ns3cret-value it's "x" $y\n`);
    expect(JSON.stringify(await alice.ok("GET", `/v1/agents/${shell.id}`))).not.toContain("s3cret");
    await alice.ok("PUT", `/v1/agents/${shell.id}/env`, {});
    const { run: without } = await alice.runToEnd(shell.id, `echo "[$TOKEN]"; cat .berth/env 2>/dev/null | wc -c`);
    expect(without.result).toBe("[]\n0\n");
  });

  test("changes by one variable, and the rest stays; the bounds are of the whole", async () => {
    const path = `/v1/agents/${shell.id}/env`;
    await alice.ok("PUT", path, { KEPT: "1", CHANGED: "old", GONE: "x" });
    const changed = await alice.ok<Agent>("PATCH", path, { CHANGED: "new", GONE: null, NEW: "2", NEVER: null });
    expect(changed.envKeys).toEqual(["CHANGED", "KEPT", "NEW"]);
    const { run } = await alice.runToEnd(shell.id, 'echo "$KEPT $CHANGED $NEW [$GONE]"');
    expect(run.result).toBe("1 new 2 []\n");
    const many = Object.fromEntries(Array.from({ length: 97 }, (_, at) => [`V${at}`, ""]));
    expect((await alice.ok<Agent>("PATCH", path, many)).envKeys).toHaveLength(100);
    for (const refused of [{ ONE_MORE: "" }, { HOME: null }, { KEPT: 1 }]) {
      const answer = await alice.call("PATCH", path, refused);
      expect([answer.status, answer.body.code]).toEqual([400, "invalid_request"]);
    }
    expect((await alice.ok<Agent>("PATCH", path, { ONE_MORE: "", KEPT: null })).envKeys).toHaveLength(100);
    await alice.ok("PUT", path, {});
  });
});

describe("admission", () => {
  test("of 20 racing messages to 10 agents accepts exactly 3 and says why not to the others", async () => {
    const bob = await berth.client("bob");
    const agents = await Promise.all(
      Array.from({ length: 10 }, (_, at) => bob.createAgent(`a${at}`, { runtime: "shell" })),
    );
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        bob.call<Run & { code: string; runId: string }>("POST", `/v1/agents/${agents[at % 10]!.id}/runs`, {
          prompt: "sleep 60",
        }),
      ),
    );
    const accepted = answers.filter(({ status }) => status === 202);
    expect(accepted).toHaveLength(3);
    for (const answer of answers.filter(({ status }) => status !== 202)) {
      expect(["run_limit", "agent_busy"]).toContain(answer.body.code);
      if (answer.body.code === "run_limit")
        expect([answer.status, answer.headers.get("retry-after")]).toEqual([429, expect.stringMatching(/^\d+$/)]);
      else expect(accepted.map(({ body }) => body.id)).toContain(answer.body.runId);
    }
    await Promise.all(accepted.map(({ body }) => bob.ok("POST", `/v1/runs/${body.id}/cancel`)));
    expect((await bob.runToEnd(agents[0]!.id, "echo free")).run.status).toBe("completed");
  });

  test("answers a repeated Idempotency-Key with the first run, and a key with another prompt with conflict", async () => {
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => alice.send(shell.id, "echo once >> times; wc -l < times", "key-1")),
    );
    expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
    expect((await alice.finish(answers[0]!.id)).run.result).toBe("1\n");
    expect((await alice.send(shell.id, "echo once >> times; wc -l < times", "key-1")).id).toBe(answers[0]!.id);
    expect(
      await alice.call("POST", `/v1/agents/${shell.id}/runs`, { prompt: "other" }, { "idempotency-key": "key-1" }),
    ).toMatchObject({ status: 409, body: { code: "conflict" } });
  });
});

describe("cancel", () => {
  test("leaves no process of the run, however it forked, and no other run loses a line", async () => {
    const other = await alice.createAgent("other", { runtime: "shell" });
    const counting = await alice.send(other.id, "for i in $(seq 1 300); do echo $i; sleep 0.01; done");
    const stubborn = await alice.send(
      shell.id,
      "echo unwilling >&2; trap '' TERM INT HUP; nohup sleep 1001 & setsid sleep 1002 & (setsid sh -c 'trap \"\" TERM; sleep 1003' &) ; echo up; while :; do sleep 1; done",
    );
    await until(async () => (await ofAgents()).some((line) => line.includes("sleep 1003")), "the run has forked");
    const cancelled = await alice.ok<Run>("POST", `/v1/runs/${stubborn.id}/cancel`);
    expect(cancelled).toMatchObject({ status: "cancelled", reason: "cancelled", stderrTail: null });
    expect((await ofAgents()).filter((line) => /sleep 100\d/.test(line))).toEqual([]);
    const { lines, run } = await alice.finish(counting.id);
    expect(lines.map(textOf)).toEqual(Array.from({ length: 300 }, (_, at) => String(at + 1)));
    expect(run.status).toBe("completed");
    expect(await alice.call("POST", `/v1/runs/${stubborn.id}/cancel`)).toMatchObject({
      status: 409,
      body: { code: "conflict" },
    });
  });

  test("ends a fork bomb, and the agent works again", async () => {
    const bomb = await alice.send(shell.id, "bomb() { bomb | bomb & }; bomb; while :; do :; done");
    await until(async () => (await alice.workspace()).pids.current > 200, "the bomb has grown");
    expect((await alice.ok<Run>("POST", `/v1/runs/${bomb.id}/cancel`)).status).toBe("cancelled");
    expect(await ofAgents()).toEqual([]);
    expect((await alice.runToEnd(shell.id, "echo alive")).run.result).toBe("alive\n");
  });

  test("ends what a run that is over left behind", async () => {
    await alice.runToEnd(shell.id, "nohup sleep 1004 >/dev/null 2>&1 & setsid sleep 1005 & echo done");
    expect((await ofAgents()).filter((line) => /sleep 100\d/.test(line))).toEqual([]);
  });
});

describe("the log limit", () => {
  test("ends a run that writes more, says so, and keeps as much as it allows", async () => {
    const { lines, run } = await alice.runToEnd(shell.id, "yes");
    expect(run).toMatchObject({ status: "failed", reason: "log_limit" });
    expect(run.logBytes).toBe(logBytes);
    expect(lines).toHaveLength(logBytes / 2);
  });

  test("is told of a run too that has written more and ended by itself at once", async () => {
    const { run } = await alice.runToEnd(shell.id, "head -c 2000000 /dev/zero | tr '\\0' x");
    expect(run).toMatchObject({ status: "failed", reason: "log_limit", logBytes });
  });

  test("is shown to an admin once the user has met it ten times within an hour", async () => {
    const admin = await berth.client("root", { admin: true });
    const userId = await userIdOf(alice);
    for (let at = 0; at < 10; at++) await alice.runToEnd(shell.id, "head -c 2000000 /dev/zero");
    const isTold = async (after = "") => {
      const { items } = await admin.ok<{ items: Host[] }>("GET", "/v1/admin/hosts");
      if (items[0]!.lastReportAt! <= after) return false;
      return items[0]!.load!.alerts.some((alert) => alert.kind === "log_limit" && alert.userId === userId);
    };
    await until(() => isTold(), "the admin is told");
    await berth.host.kill();
    const diedAt = new Date().toISOString();
    await berth.host.start();
    await until(() => isTold(diedAt), "the next process tells the admin too");
  });
});

describe("deleting an agent", () => {
  test("cancels its run, removes its directory and ends its processes", async () => {
    const doomed = await alice.createAgent("doomed", { runtime: "shell" });
    const run = await alice.send(
      doomed.id,
      "mkdir -p deep/er; echo x > deep/er/file; ln -s / deep/root; echo up; sleep 1006",
    );
    await until(async () => (await ofAgents()).some((line) => line.includes("sleep 1006")), "the run is up");
    expect((await alice.call("DELETE", `/v1/agents/${doomed.id}`)).status).toBe(204);
    expect((await ofAgents()).filter((line) => line.includes("sleep 1006"))).toEqual([]);
    expect(readdirSync(join(berth.hostDir, "mnt", await userIdOf(alice), "workspace"))).not.toContain(
      `agent-${doomed.id}`,
    );
    await until(async () => (await alice.run(run.id)).status === "cancelled", "the run is told as cancelled");
    expect((await alice.call("GET", `/v1/agents/${doomed.id}`)).status).toBe(404);
  });
});
