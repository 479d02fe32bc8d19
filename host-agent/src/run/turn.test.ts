import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { unseenAgent } from "@berth/shared/host-api";
import { createLog } from "@berth/shared/log";
import { makeContext } from "../../test/context.ts";
import { inMemory } from "../../test/memory.ts";
import { threeRuns } from "../../test/room.ts";
import type { AgentRow } from "../store/rows.ts";
import { Store } from "../store/store.ts";
import type { Ask } from "../runtimes/control-protocol.ts";
import type { Volume } from "../workspace/volume.ts";
import { nothingSeen } from "./lines-reader.ts";
import { tell } from "./run-input.ts";
import { askContext, createTurnFollower } from "./turn.ts";

let dir: string;
let store: Store;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-turn-"));
  mkdirSync(join(dir, "run_a"));
  writeFileSync(join(dir, "run_a/in"), "");
  store = new Store(inMemory(), Date.now);
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true });
});

const told = () => readFileSync(join(dir, "run_a/in"), "utf8");
const ask = (requestId: string, kind: Ask["kind"]): Ask => ({ kind, requestId, tool: "Bash", input: {} });

function open() {
  const agent = store.learnAgent("usr_u", { ...unseenAgent("agt_a"), version: 1, runtime: "claude" }, null) as AgentRow;
  const trigger = { kind: "api", triggerId: null } as const;
  store.admit({ id: "run_a", agentId: "agt_a", userId: "usr_u", trigger, prompt: "", payload: null }, threeRuns, true);
  const volume: Volume = { limitBytes: 0, root: dir, workspace: dir, runs: dir, tmp: dir, trash: dir, uids: dir };
  const logged: string[] = [];
  const context = { ...makeContext(dir), log: createLog((line) => logged.push(line)) };
  const seen = { ...nothingSeen(), isInTurn: true };
  const lines = { seen, read: () => Promise.resolve(false), readRest: () => Promise.resolve() };
  const look = createTurnFollower({ context, store }, { run: store.getRun("run_a")!, agent, volume, lines });
  return { look, seen, logged, volume, context };
}

test("what nobody can answer is refused, and an agent that asks for it without end is refused a hundred times", async () => {
  const { look, seen, logged } = open();
  for (let at = 0; at < 500; at++) {
    seen.asks = [ask(`request-${at}`, null)];
    for (let times = 0; times < 3; times++) await look();
  }
  const refused = told().trim().split("\n");
  expect(refused).toHaveLength(100);
  expect(refused.every((line, at) => line.includes(`"request_id":"request-${at}"`))).toBe(true);
  expect(logged).toEqual([]);
});

test("a run that was told all that it may be is answered still, and told no further word", async () => {
  const { look, seen, volume } = open();
  await tell(volume, "run_a", "é".repeat(2 ** 19));
  await expect(tell(volume, "run_a", "x")).rejects.toThrow("1 MiB");
  seen.asks = [ask("form", null)];
  await look();
  expect(told().split("\n")[1]).toContain('"request_id":"form"');
});

test("what the run waits for is told once, and the next when it was answered", async () => {
  const { look, seen } = open();
  seen.asks = [ask("first", "permission"), ask("second", "question")];
  await look();
  expect(store.getRun("run_a")!.waitingFor).toMatchObject({ kind: "permission", requestId: "first" });
  const since = store.revision();
  for (let times = 0; times < 100; times++) await look();
  expect(store.revision()).toBe(since);
  writeFileSync(join(dir, "run_a/in"), '{"request_id":"first"}\n');
  await look();
  expect(store.getRun("run_a")!.waitingFor).toMatchObject({ kind: "question", requestId: "second" });
  // The file only ever grows: with as many bytes as before it is not read.
  writeFileSync(join(dir, "run_a/in"), '{"request_id":"third"}\n');
  await look();
  expect(store.revision()).toBe(since + 1);
});

test("a turn that cannot be followed is said once, until it can", async () => {
  const { look, seen, logged } = open();
  Object.assign(seen, { result: { text: "done", isError: false }, isInTurn: false });
  rmSync(join(dir, "run_a/in"));
  mkdirSync(join(dir, "run_a/in"));
  for (let times = 0; times < 50; times++) await look();
  expect(logged).toHaveLength(1);
  rmSync(join(dir, "run_a/in"), { recursive: true });
  writeFileSync(join(dir, "run_a/in"), "");
  await look();
  expect(told()).toBe("\n");
  rmSync(join(dir, "run_a/in"));
  mkdirSync(join(dir, "run_a/in"));
  await look();
  expect(logged).toHaveLength(2);
});

/** Asks a run for its context, which says this then, one after the other was read; what it is taken to say, and how many pieces were read. */
async function askFor(say: (answer: string) => string[]) {
  const { volume, context } = open();
  const out = join(dir, "run_a/out");
  store.updateRun("run_a", { startedAt: "2026-01-01T00:00:00.000Z" });
  writeFileSync(out, "y".repeat(2 ** 20));
  let pieces = 0;
  const turns = (userId: string) => {
    pieces++;
    return context.turns(userId);
  };
  const deps = { store, context: { ...context, turns }, volumes: { ensure: async () => volume } };
  const asked = askContext(deps, store.getRun("run_a")!);
  await expect.poll(told).toContain("get_context_usage");
  const [, request_id] = /"request_id":"([^"]+)"/.exec(told())!;
  const categories = [{ name: "tools", tokens: 5, kind: "used" }];
  const response = { request_id, response: { model: "m", totalTokens: 5, maxTokens: 10, categories } };
  for (const text of say(JSON.stringify({ type: "control_response", response }))) {
    const before = pieces;
    appendFileSync(out, text);
    await expect.poll(() => pieces).toBeGreaterThan(before);
  }
  return { use: await asked, pieces };
}
const known = { model: "m", usedTokens: 5, limitTokens: 10, parts: [{ name: "tools", tokens: 5 }] };

test.each<[string, (answer: string) => string[]]>([
  ["after the rest of a line", (answer) => [`yy\n${answer}\n`]],
  ["in two halves", (answer) => [`\n${answer.slice(0, 90)}`, `${answer.slice(90)}\n`]],
  ["after a line that repeats the question", (answer) => [`\n{"type":"x","is":${answer}}\n${answer}\n`]],
  [
    "in a long line, after another",
    (answer) => [`\n${"z".repeat(200_000)}\n${answer.slice(0, -1)},"more":"${"z".repeat(200_000)}"}\n`],
  ],
  ["in thousands of lines", (answer) => [`\n${"z\n".repeat(50_000)}${answer}\n${"z\n".repeat(50_000)}`]],
])("what the CLI says of its context is found: %s", async (_, say) => {
  expect((await askFor(say)).use).toEqual(known);
});

test("of what else it says then each piece is read in a turn of its user, and once", async () => {
  const mebibyte = "\n".repeat(2 ** 20);
  const { use, pieces } = await askFor((answer) => [...Array<string>(8).fill(mebibyte), `${answer}\n`]);
  expect(use).toEqual(known);
  expect(pieces).toBeGreaterThanOrEqual(64);
  expect(pieces).toBeLessThan(100);
});
