/**
 * From a message to the first text of its answer, with a CLI that was started ahead and without; the whole run, against the same command
 * by an attached exec; and what one that waits costs, alone and beside a CLI of somebody else's. `PAIRS` says how many, 30 if nothing does.
 */
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { Agent } from "@berth/shared/resources";
import { until } from "../../gateway/test/wait.ts";
import type { Client } from "../../e2e/harness/client.ts";
import { type Berth, startBerth, userIdOf } from "../../e2e/harness/harness.ts";
import { startModel } from "../../e2e/harness/model-endpoint.ts";
import { findCgroup, readFreeBytes } from "../../host-agent/src/machine/cgroup.ts";
import { runGid } from "../../host-agent/src/store/uids.ts";
import { attachBeside } from "../lib/attached-cli.ts";
import { interleave, median, percentile, printFigures } from "../lib/figures.ts";

const rounds = Number(process.env["PAIRS"] ?? 30);
const clockTickMs = 10;
const restMs = 10_000;

interface Took {
  firstText: number;
  whole: number;
}

const model = await startModel(() => ({ blocks: [{ type: "text", text: "done" }] }));
const settings = { BERTH_MODEL_URL: model.url, ANTHROPIC_API_KEY: "sk-upstream", BERTH_IDLE_SECONDS: "600" };
const [cold, ahead] = [await open("0"), await open("1")];
try {
  const attach = await attachBeside(cold.berth, cold.client);
  /** A CLI after its first answer. */
  const answered = async () => {
    const cli = await attach("--input-format", "stream-json", "--dangerously-skip-permissions");
    cli.tell({ type: "user", message: { role: "user", content: [{ type: "text", text: "Say something." }] } });
    await cli.says('"type":"result"');
    return cli;
  };
  const took: Record<"cold" | "ahead", Took[]> = { cold: [], ahead: [] };
  const firstText = async (name: keyof typeof took, stack: Stack) => {
    if (name === "ahead") await waits(stack);
    const one = await message(stack);
    took[name].push(one);
    return one.firstText;
  };
  const bare: number[] = [];
  await interleave(
    rounds,
    () => firstText("cold", cold),
    () => firstText("ahead", ahead),
    async () => {
      const startedAt = performance.now();
      const cli = await answered();
      cli.end();
      await cli.ended;
      bare.push(performance.now() - startedAt);
      return 0;
    },
  );
  const of = (name: keyof typeof took, what: keyof Took) => took[name].map((one) => one[what]);
  const ratios = of("ahead", "firstText").map((ms, at) => ms / of("cold", "firstText")[at]!);
  const cost = await costOf(ahead, answered);
  const ratio = { unit: "ms", compare: "ratio" } as const;
  printFigures([
    {
      name: "message → first text, started ahead, against cold",
      ours: median(of("ahead", "firstText")),
      bare: median(of("cold", "firstText")),
      ...ratio,
      target: { bound: 0.3 },
    },
    { name: "the same pair by pair, p95", ours: percentile(ratios, 95), unit: "×", target: { bound: 0.5 } },
    {
      name: "the same, p95 of each",
      ours: percentile(of("ahead", "firstText"), 95),
      bare: percentile(of("cold", "firstText"), 95),
      ...ratio,
    },
    {
      name: "whole run, cold, against the same command by an attached exec",
      ours: median(of("cold", "whole")),
      bare: median(bare),
      ...ratio,
      target: { bound: 1.05 },
    },
    {
      name: "whole run, started ahead, against the same",
      ours: median(of("ahead", "whole")),
      bare: median(bare),
      ...ratio,
      target: { bound: 0.35 },
    },
    { name: "a CLI that waits: what its workspace is charged", ours: cost.charged, unit: "MB", target: { bound: 170 } },
    { name: "… PSS, one of three, as the bound was set", ours: cost.ofThree, unit: "MB", target: { bound: 170 } },
    { name: "… PSS, one of two", ours: cost.ofTwo, unit: "MB", target: { bound: 170 } },
    { name: "… PSS, where no other CLI runs", ours: cost.alone, unit: "MB", target: { bound: 170 } },
    { name: "… of that the pages of files, which the kernel may drop", ours: cost.ofFiles, unit: "MB" },
    { name: "a CLI that waits: processor", ours: cost.percent, unit: "%", target: { bound: 3 } },
  ]);
} finally {
  await Promise.all([cold.berth.close(), ahead.berth.close()]);
  await model.close();
}

interface Stack {
  berth: Berth;
  client: Client;
  agent: Agent;
  userId: string;
  /** How often one got ready when it was looked at last. */
  ready: number;
}

async function open(isAhead: string): Promise<Stack> {
  const berth = await startBerth({ ...settings, BERTH_AHEAD: isAhead });
  const client = await berth.client("bench");
  const agent = await client.createAgent("bench");
  await client.runToEnd(agent.id, "Hello.");
  return { berth, client, agent, userId: await userIdOf(client), ready: 0 };
}

/** Until the one for the next message waits. */
async function waits(stack: Stack): Promise<void> {
  const count = () => stack.berth.host.log().split('"ahead.ready"').length - 1;
  await until(() => count() > stack.ready, "it waits");
  stack.ready = count();
  await pause(200);
}

/** Waits for the end too. */
async function message({ client, agent }: Stack): Promise<Took> {
  const startedAt = performance.now();
  const { id } = await client.send(agent.id, "Say something.");
  let firstText = 0;
  for await (const { event, data } of client.events(id))
    if (event === "output" && data.includes('"text_delta"')) firstText ||= performance.now() - startedAt;
  return { firstText, whole: performance.now() - startedAt };
}

interface Cost {
  /** Megabytes; all of its processes, but cache that the kernel can drop. */
  charged: number;
  /** The same by PSS, which counts a page that several processes have in parts. */
  ofThree: number;
  ofTwo: number;
  alone: number;
  ofFiles: number;
  percent: number;
}

/** One that waits does nothing but wait. `startOther` starts a CLI in another container. */
async function costOf(stack: Stack, startOther: () => Promise<{ end(): void; ended: Promise<void> }>): Promise<Cost> {
  await waits(stack);
  const mine = (await stack.berth.processes(stack.userId)).filter(({ gid }) => gid === runGid);
  const pids = mine.map(({ pid }) => pid);
  const sum = (of: (pid: number) => number) => pids.map(of).reduce((all, one) => all + one, 0);
  const [before, startedAt] = [sum(usedMs), performance.now()];
  await pause(restMs);
  const percent = (100 * (sum(usedMs) - before)) / (performance.now() - startedAt);
  const pss = (kind = "Pss") => sum((pid) => megabytesOf(pid, kind));
  const [alone, ofFiles] = [pss(), pss("Pss_File")];
  const second = await startOther();
  const ofTwo = pss();
  const third = await startOther();
  const ofThree = pss();
  for (const other of [second, third]) {
    other.end();
    await other.ended;
  }
  const cgroup = findCgroup(pids[0]!)!;
  const chargedNow = () => -readFreeBytes(cgroup, 0)! / 1e6;
  const charged = chargedNow();
  for (const pid of pids) process.kill(pid, "SIGKILL");
  await until(() => pids.every((pid) => !existsSync(`/proc/${pid}`)), "it is gone");
  return { charged: charged - chargedNow(), ofThree, ofTwo, alone, ofFiles, percent };
}

function usedMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * clockTickMs;
}

function megabytesOf(pid: number, kind: string): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return (Number(new RegExp(`^${kind}:\\s+(\\d+)`, "m").exec(rollup)![1]) * 1024) / 1e6;
}
