/** The CLI of the agent that was used last, started ahead of its next message: on the real engine and the real CLI. */
import { appendFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Agent } from "@berth/shared/resources";
import { until } from "../gateway/test/wait.ts";
import type { Client } from "./harness/client.ts";
import { type Berth, startBerth, userIdOf } from "./harness/harness.ts";
import { type ModelEndpoint, startModel } from "./harness/model-endpoint.ts";

let model: ModelEndpoint;
let berth: Berth;
let alice: Client;
let userId: string;
let agent: Agent;
let count = 0;

beforeAll(async () => {
  model = await startModel(({ prompt, nth, stream }) =>
    stream && prompt.startsWith("Run:") && nth === 0
      ? { blocks: [{ type: "tool_use", id: `toolu_${++count}`, name: "Bash", input: { command: prompt.slice(4) } }] }
      : { blocks: [{ type: "text", text: "done" }] },
  );
  const settings = { BERTH_MODEL_URL: model.url, ANTHROPIC_API_KEY: "sk-upstream", BERTH_IDLE_SECONDS: "600" };
  berth = await startBerth({ ...settings, BERTH_AHEAD: "1" });
  alice = await berth.client("alice");
  userId = await userIdOf(alice);
});
afterAll(async () => {
  await berth?.close();
  await model?.close();
});
beforeEach(async () => {
  agent = await alice.createAgent(`ahead-${++count}`);
  await alice.runToEnd(agent.id, "Hello.");
});
// A user has ten; some tests have deleted theirs.
afterEach(() => alice.call("DELETE", `/v1/agents/${agent.id}`));

const clis = async () =>
  (await berth.processes(userId)).filter(({ command }) => command.includes("/claude --print")).map(({ pid }) => pid);
/** The last line of the host's log that tells whether one waits. */
const lastWord = () =>
  berth.host
    .log()
    .split("\n")
    .findLast((line) => /"(ahead\.\w+|run\.(accepted|ended)|host\.ready)"/.test(line)) ?? "";

/** The pid of the CLI that waits once it is ready. */
async function waiting(): Promise<number> {
  // What is being replaced is told of once it has gone.
  return until(async () => {
    const isReady = lastWord().includes('"ahead.ready"') && lastWord().includes(agent.id);
    const pids = isReady ? await clis() : [];
    return pids.length === 1 ? pids[0]! : null;
  }, "one waits, and no other");
}

test("keeps no container that is not what its user may have any more", async () => {
  await waiting();
  const socket = await alice.connect();
  const { containerId } = await alice.workspace();
  const admin = await berth.client("root", { admin: true });
  const limit = (memoryBytes: number | null) =>
    admin.call("PATCH", `/v1/admin/users/${userId}`, { limits: { memoryBytes } });
  await limit(2 ** 29);
  await until(
    async () => (await alice.workspace()).containerId !== containerId,
    "it goes though somebody is connected",
  );
  await limit(null);
  await socket.close();
});

test("the next message is its: it has the run's id and token, and the run's log begins with the message", async () => {
  const pid = await waiting();
  expect(await alice.workspace()).toMatchObject({ activeRuns: 0 });
  const prompt = `Run:ps -o ppid= -p $PPID >/dev/null; echo id=$BERTH_RUN_ID.; until [ -e go ]; do timeout 0.1 tail -f /dev/null; done`;
  const { id } = await alice.send(agent.id, prompt);
  await alice.untilOutput(id, (data) => data.includes('"type":"tool_use"'));
  expect(await clis()).toEqual([pid]);
  await alice.ok("PUT", `/v1/agents/${agent.id}/files/go`, "x");
  const { lines, run } = await alice.finish(id);
  expect(run).toMatchObject({ status: "completed", result: "done", exitCode: 0 });
  expect(lines.join("\n")).toContain(`id=${id}.`);
  expect(lines.filter((line) => line.includes('"commands":['))).toEqual([]);
  expect(model.calls.at(-1)!.told).toContain("Hello.");
  expect(await waiting()).not.toBe(pid);
});

test("it goes where memory gets short, long before its time, and the run beside it stays", async () => {
  const pid = await waiting();
  const hog = await alice.createAgent(`hog-${count}`, { runtime: "shell" });
  const run = await alice.send(
    hog.id,
    `exec python3 -c 'x = b"x" * 900_000_000; print("full", flush=True); input()' < <(tail -f /dev/null)`,
  );
  await alice.firstLine(run.id);
  const since = performance.now();
  await until(async () => !(await clis()).includes(pid), "it is gone");
  expect(performance.now() - since).toBeLessThan(10_000);
  expect((await alice.run(run.id)).endedAt).toBeNull();
  await alice.ok("POST", `/v1/runs/${run.id}/cancel`);
});

test("what changes the agent ends it, and the message after that finds what holds now", async () => {
  const pid = await waiting();
  await alice.ok("PUT", `/v1/agents/${agent.id}/env`, { COLOUR: "blue" });
  await until(async () => !(await clis()).includes(pid), "it is gone");
  const { lines } = await alice.runToEnd(agent.id, "Run:echo $COLOUR");
  expect(lines.join("\n")).toContain('"content":"blue"');
  await waiting();
  // Of files that the CLI has read already the host agent knows nothing.
  await alice.ok("PUT", `/v1/agents/${agent.id}/files/CLAUDE.md`, "The word is heron.");
  expect((await alice.runToEnd(agent.id, "Which word?")).run.status).toBe("completed");
  expect(model.callsOf("Which word?").at(-1)!.told).toContain("heron");
  const other = await waiting();
  await alice.ok("DELETE", `/v1/agents/${agent.id}`);
  expect(await clis()).not.toContain(other);
});

describe("of what it has read before it was told anything", () => {
  const put = (path: string, text: string) => alice.ok("PUT", `/v1/agents/${agent.id}/files/${path}`, text);
  const say = async (prompt: string) => {
    const ended = await alice.runToEnd(agent.id, prompt);
    expect(ended.run).toMatchObject({ status: "completed", result: "done" });
    return { ...ended, told: model.callsOf(prompt).at(-1)!.told };
  };
  const work = (directory: string) => alice.ok("PATCH", `/v1/agents/${agent.id}`, { directory });
  const claimed = () => berth.host.log().split('"event":"ahead.claimed"').length;

  test.each([
    ["a CLAUDE.md on the way up", "mono/CLAUDE.md"],
    ["a rule below a folder", "mono/.claude/rules/web/x.md"],
    ["what a CLAUDE.md imports", "mono/packages/a/docs/words.md"],
  ])("%s is read anew where it has changed, and else kept", async (_, path) => {
    await work("mono/packages/a");
    await put("mono/packages/a/CLAUDE.md", "See @docs/words.md for words");
    await put(path, "The word is egret.\n");
    await say("Begin.");
    await waiting();
    const before = claimed();
    await say("Which word?");
    expect(claimed()).toBe(before + 1);
    await waiting();
    // In place: no directory tells of it.
    const inPlace = `mnt/${userId}/workspace/agent-${agent.id}/${path}`;
    appendFileSync(join(berth.hostDir, inPlace), "The word is heron.\n");
    expect((await say("Which word now?")).told).toContain("heron");
  });

  test("its directory is made anew where that has gone meanwhile", async () => {
    await work("app");
    await say("Begin.");
    await waiting();
    await alice.ok("DELETE", `/v1/agents/${agent.id}/files/app`);
    const { lines } = await say("Where are you?");
    expect(lines.join("\n")).toContain("The directory app was not there: it is made, and empty.");
  });

  test("a link that leads to another directory since is followed there", async () => {
    await say("Run:mkdir v1 v2; ln -s v1 current");
    await work("current");
    await say("Begin.");
    await waiting();
    const home = join(berth.hostDir, `mnt/${userId}/workspace/agent-${agent.id}`);
    rmSync(join(home, "current"));
    symlinkSync("v2", join(home, "current"));
    const { lines } = await say("Run:pwd -P");
    expect(lines.join("\n")).toContain(`agent-${agent.id}/v2"`);
  });

  test("more rules than it is worth to look at are read anew, and cost no time", async () => {
    await say("Run:mkdir -p .claude/rules && cd .claude/rules && touch {1..9000}.md.not");
    await waiting();
    await say("Is this said?");
    expect(model.callsOf("Is this said?")).toHaveLength(1);
  });
});

test("a message is neither lost nor doubled when the host agent dies just as it comes", async () => {
  for (const delay of [0, 15, 30, 50]) {
    await waiting();
    const prompt = `Task after ${delay} ms.`;
    const sent = alice.call("POST", `/v1/agents/${agent.id}/runs`, { prompt }, { "idempotency-key": `dies-${delay}` });
    await new Promise((resolve) => setTimeout(resolve, delay));
    await berth.host.kill();
    await sent;
    await berth.host.start();
    const run = await until(async () => {
      const again = await alice.call<{ id: string }>(
        "POST",
        `/v1/agents/${agent.id}/runs`,
        { prompt },
        { "idempotency-key": `dies-${delay}` },
      );
      return again.status < 300 ? again.body : null;
    }, "it takes the message");
    expect((await alice.finish(run.id)).run).toMatchObject({ status: "completed", result: "done" });
    expect(model.callsOf(prompt)).toHaveLength(1);
  }
});

test("an agent that fills its log with what is no answer gets its message once, and at once", async () => {
  const line = '{"type":"control_response","response":{"request_id":"mine"}}';
  // A hook of the CLI that is started ahead: its log gets another name with the message, and stays the same file.
  const flood = `exec >/dev/null 2>&1; exec 9>>"$BERTH_RUN_FILES/out" || exit 0; until [ -e go ]; do sleep 0.1; done; yes '${line}' | head -c 3000000 >&9`;
  const command = `(${flood}) & true`;
  const settings = { hooks: { SessionStart: [{ hooks: [{ type: "command", command }] }] } };
  await alice.ok("PUT", `/v1/agents/${agent.id}/files/.claude/settings.json`, JSON.stringify(settings));
  await alice.ok("PUT", `/v1/agents/${agent.id}/env`, { COLOUR: "red" });
  await waiting();
  await alice.ok("PUT", `/v1/agents/${agent.id}/files/go`, "x");
  const since = performance.now();
  const { run } = await alice.runToEnd(agent.id, "Is this said once?");
  expect(run).toMatchObject({ status: "completed", result: "done" });
  // Its first word was sought among a megabyte again and again, for a minute.
  expect(performance.now() - since).toBeLessThan(40_000);
  expect(model.callsOf("Is this said once?")).toHaveLength(1);
});

test("conversations that are opened faster than a CLI starts are looked at once for many", async () => {
  await waiting();
  const other = await alice.createAgent(`opened-${count}`);
  const drops = () => berth.host.log().split('"ahead.dropped"').length;
  const before = drops();
  await Promise.all(
    Array.from({ length: 40 }, (_, at) => alice.ok("POST", `/v1/agents/${(at % 2 ? agent : other).id}/ahead`)),
  );
  // Of so many calls at once none is known to arrive last.
  await alice.ok("POST", `/v1/agents/${agent.id}/ahead`);
  await waiting();
  expect(drops() - before).toBeLessThan(8);
});

test("a run that claimed it goes on with its model where the host's database is put back from before the claim", async () => {
  await waiting();
  const [file, copy] = [join(berth.hostDir, "host.db"), join(berth.dir, "host.copy")];
  const db = new Database(file, { readonly: true });
  const admitted = db.prepare("SELECT 1 FROM runs WHERE agent_id = ? AND ended_at IS NULL");
  const sent = alice.send(agent.id, "Run:until [ -e go ]; do timeout 0.1 tail -f /dev/null; done");
  // It is claimed some milliseconds after it was admitted.
  while (!admitted.get(agent.id)) await new Promise(setImmediate);
  db.exec(`VACUUM INTO '${copy}'`);
  db.close();
  const { id } = await sent;
  await alice.untilOutput(id, (data) => data.includes('"type":"tool_use"'));
  expect(berth.host.log()).toContain(`"event":"ahead.claimed","runId":"${id}"`);
  await berth.host.kill();
  for (const name of [file, `${file}-wal`, `${file}-shm`]) rmSync(name, { force: true });
  renameSync(copy, file);
  await berth.host.start();
  await until(() => berth.host.log().includes("database.restored"), "it is known for an older one");
  await alice.ok("PUT", `/v1/agents/${agent.id}/files/go`, "x");
  expect((await alice.finish(id)).run).toMatchObject({ status: "completed", result: "done", exitCode: 0 });
});
