/** Three runs in each of 100 workspaces at once, of a light program, until each client has its end; against the engine alone doing the same execs in the same containers. `WORKSPACES` says how many. */
import type { Agent } from "@berth/shared/resources";
import type { Client } from "../e2e/harness/client.ts";
import { engine, startBerth } from "../e2e/harness/harness.ts";
import { makeUsers } from "../e2e/harness/users.ts";
import { interleave, median, printFigures, timed } from "./lib/figures.ts";

const workspaces = Number(process.env["WORKSPACES"] ?? 100);
const agentsEach = 3;
const rounds = 3;
const atOnce = 4;
const script = "echo done";

const berth = await startBerth({ BERTH_IDLE_SECONDS: "3600", BERTH_MAX_WORKSPACES: String(workspaces) });
try {
  const waiting = await makeUsers(berth, "bench", workspaces);
  const ready: { client: Client; agents: Agent[]; containerId: string }[] = [];
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let client = waiting.pop(); client; client = waiting.pop()) ready.push(await prepare(client));
    }),
  );
  let lost = 0;
  const ours = () =>
    timed(() =>
      Promise.all(
        ready.flatMap(({ client, agents }) =>
          agents.map(async ({ id }) => {
            const { lines, run } = await client.runToEnd(id, script);
            if (run.status !== "completed" || lines.length !== 1) lost += 1;
          }),
        ),
      ),
    );
  const bare = () =>
    timed(() => Promise.all(ready.flatMap(({ containerId, agents }) => agents.map(() => attached(containerId)))));
  const [runs, execs] = (await interleave(rounds, ours, bare)).map(median);
  const count = workspaces * agentsEach;
  printFigures([
    {
      name: `${count} runs in ${workspaces} workspaces at once`,
      ours: runs!,
      bare: execs!,
      unit: "ms",
      compare: "ratio",
      target: { bound: 1.3 },
    },
    { name: "of them lost or wrong", ours: lost, unit: "", target: { bound: 0 } },
  ]);
} finally {
  await berth.close();
}

/** Each agent has run once: its directory is there. */
async function prepare(client: Client) {
  const agents: Agent[] = [];
  for (let at = 0; at < agentsEach; at++) {
    agents.push(await client.createAgent(`bench-${at}`, { runtime: "shell" }));
    await client.runToEnd(agents[at]!.id, "true");
  }
  const { containerId } = await client.workspace();
  return { client, agents, containerId: containerId! };
}

async function attached(containerId: string): Promise<void> {
  const exec = await engine
    .getContainer(containerId)
    .exec({ Cmd: ["bash", "-c", script], User: "20000:19001", AttachStdout: true, AttachStderr: true });
  const stream = await exec.start({ hijack: true, stdin: false });
  const ended = new Promise((resolve) => stream.once("end", resolve));
  stream.resume();
  await ended;
}
