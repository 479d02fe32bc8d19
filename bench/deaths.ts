/**
 * Deaths of the machine in the middle of tasks of twenty steps with `onInterruption: continue`: host agent and containers are gone at
 * once, at a random moment. How many tasks finish without a person, whether a reader lost a line, and how long until the work goes on.
 * `DEATHS` says how many tasks meet one, 30 if nothing does.
 */
import { randomInt } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Run } from "@berth/shared/resources";
import type { Client } from "../e2e/harness/client.ts";
import { engine, startBerth } from "../e2e/harness/harness.ts";
import { startModel } from "../e2e/harness/model-endpoint.ts";
import { median, printFigures } from "./lib/figures.ts";

const wanted = Number(process.env["DEATHS"] ?? 30);
const steps = 20;
const users = 3;

/** When each task's steps were asked for first, by its prompt. */
const askedAt = new Map<string, number[]>();
const model = await startModel(({ told, stream }) => {
  const task = /Task [a-z0-9-]+\./.exec(told)?.[0];
  if (!stream || !task) return { blocks: [{ type: "text", text: "A title." }] };
  const done = Math.max(0, ...[...told.matchAll(/did-(\d+)-of-it/g)].map(([, step]) => Number(step)));
  askedAt.set(task, [...(askedAt.get(task) ?? []), performance.now()]);
  if (done === steps) return { blocks: [{ type: "text", text: "All done." }] };
  const command = `echo ${done + 1} >>steps; sleep 0.1; echo did-${done + 1}-of-it`;
  const input = { command, description: "a step" };
  return { blocks: [{ type: "tool_use", id: `toolu_${crypto.randomUUID()}`, name: "Bash", input }] };
});
const berth = await startBerth({ BERTH_MODEL_URL: model.url, ANTHROPIC_API_KEY: "sk-upstream", BERTH_AHEAD: "0" });
const told = {
  met: 0,
  finished: 0,
  wrongSteps: 0,
  lost: 0,
  repeated: 0,
  resumedMs: [] as number[],
  wrong: [] as string[],
};
try {
  const clients = await Promise.all(Array.from({ length: users }, (_, at) => berth.client(`user${at}`)));
  for (let round = 0; told.met < wanted; round++) {
    const tasks = await Promise.all(clients.map((client, at) => begin(client, `Task r${round}-u${at}.`)));
    await pause(randomInt(500, 6000));
    const diedAt = performance.now();
    await berth.host.kill();
    await Promise.all((await berth.containers()).map(({ Id }) => engine.getContainer(Id).remove({ force: true })));
    await berth.host.start();
    await Promise.all(tasks.map((task) => judge(task, diedAt)));
    process.stderr.write(`${told.met} of ${wanted} deaths: ${told.finished} finished\n`);
  }
  printFigures([
    { name: "tasks that met the death of their machine", ours: told.met, unit: "" },
    {
      name: "of them finished without a person",
      ours: told.finished,
      unit: "",
      target: { bound: told.met, from: "below" },
    },
    { name: "steps left out, or out of order", ours: told.wrongSteps, unit: "", target: { bound: 0 } },
    { name: "lines that a reader lost or was told twice", ours: told.lost, unit: "", target: { bound: 0 } },
    { name: "steps that were done again, in all", ours: told.repeated, unit: "" },
    { name: "death → the work goes on", ours: median(told.resumedMs) / 1000, unit: "s" },
  ]);
  for (const sentence of told.wrong) process.stdout.write(`  ${sentence}\n`);
} finally {
  await berth.close();
  await model.close();
}

interface Task {
  client: Client;
  prompt: string;
  run: Run;
  read: Promise<{ lines: string[]; run: Run }>;
}

async function begin(client: Client, prompt: string): Promise<Task> {
  const agent = await client.createAgent(prompt, { onInterruption: "continue" });
  const run = await client.send(agent.id, prompt);
  return { client, prompt, run, read: client.finish(run.id) };
}

/** Whether the task that was under way came to its end by itself, with every line and each step in order. */
async function judge({ client, prompt, run, read }: Task, diedAt: number): Promise<void> {
  const runs = [await read];
  const met = runs[0]!.run.reason === "container_lost";
  for (let next = await after(client, runs[0]!.run); next; next = await after(client, next))
    runs.push(await client.finish(next.id));
  if (met) {
    told.met++;
    const goesOn = askedAt.get(prompt)?.find((at) => at > diedAt);
    if (goesOn !== undefined) told.resumedMs.push(goesOn - diedAt);
  }
  const last = runs.at(-1)!.run;
  if (met && last.result === "All done.") told.finished++;
  else if (met) told.wrong.push(`${prompt} ended as ${last.reason}: ${last.result}`);
  for (const { lines, run: part } of runs) {
    const again = (await client.finish(part.id)).lines;
    if (JSON.stringify(again) === JSON.stringify(lines)) continue;
    told.lost++;
    told.wrong.push(`${prompt} ${part.id}: ${lines.length} lines were read, ${again.length} are there`);
  }
  const file = await client.call<string>("GET", `/v1/agents/${run.agentId}/files/steps`);
  const done = file.body.trim().split("\n").map(Number);
  told.repeated += done.length - new Set(done).size;
  const isInOrder = done.every((step, at) => step === (done[at - 1] ?? 0) + 1 || step === done[at - 1]);
  if (!isInOrder || new Set(done).size !== steps) {
    told.wrongSteps++;
    told.wrong.push(`${prompt} did ${done.join(" ")}`);
  }
  await client.ok("DELETE", `/v1/agents/${run.agentId}`);
}

/** The run that goes on where this one was cut off; it is there at once, or never. */
async function after(client: Client, { id, agentId, reason }: Run): Promise<Run | null> {
  if (reason !== "container_lost") return null;
  for (let tries = 0; tries < 100; tries++, await pause(100)) {
    const { items } = await client.ok<{ items: Run[] }>("GET", `/v1/runs?agentId=${agentId}`);
    const next = items.find(({ continues }) => continues === id);
    if (next) return next;
  }
  return null;
}
