/** A running turn: from an interrupt to the CLI's result, and from an answer of another device to what the CLI makes of it, each against the bare CLI's own time. `PAIRS` says how many. */
import type { Run } from "@berth/shared/resources";
import { until } from "../gateway/test/wait.ts";
import { startBerth } from "../e2e/harness/harness.ts";
import { startModel } from "../e2e/harness/model-endpoint.ts";
import { attachBeside } from "./lib/attached-cli.ts";
import { interleave, median, printFigures } from "./lib/figures.ts";

const rounds = Number(process.env["PAIRS"] ?? 30);
const command = "timeout 300 tail -f /dev/null";
const ask = ["--input-format", "stream-json", "--permission-prompt-tool", "stdio", "--permission-mode", "default"];
const skip = ["--input-format", "stream-json", "--dangerously-skip-permissions"];

const isFirst = new Set<string>();
const model = await startModel(({ prompt, stream }) => {
  if (!stream || isFirst.has(prompt)) return { blocks: [{ type: "text", text: "done" }] };
  isFirst.add(prompt);
  const input = { command, description: "goes on" };
  return { blocks: [{ type: "tool_use", id: `toolu_${isFirst.size}`, name: "Bash", input }] };
});
const berth = await startBerth({
  BERTH_MODEL_URL: model.url,
  ANTHROPIC_API_KEY: "sk-upstream",
  BERTH_IDLE_SECONDS: "600",
});
try {
  const client = await berth.client("bench");
  const otherDevice = await berth.client("bench");
  const [worker, asker] = [
    await client.createAgent("worker"),
    await client.createAgent("asker", { permissions: "ask" }),
  ];
  const attach = await attachBeside(berth, client);
  let count = 0;
  const prompt = () => `Task ${++count}.`;
  const message = () => ({ type: "user", message: { role: "user", content: [{ type: "text", text: prompt() }] } });
  const toResult = (run: Run, words: string) => sees(client.events(run.id), words);

  const [interrupt, bareInterrupt] = (
    await interleave(
      rounds,
      async () => {
        const run = await client.send(worker.id, prompt());
        const lines = client.events(run.id);
        await sees(lines, '"type":"tool_use"');
        await sees(lines, '"type":"assistant"');
        const startedAt = performance.now();
        void client.ok("POST", `/v1/runs/${run.id}/interrupt`);
        await sees(lines, '"type":"result"');
        const took = performance.now() - startedAt;
        await client.finish(run.id);
        return took;
      },
      async () => {
        const cli = await attach(...skip);
        cli.tell(message());
        await cli.says('"type":"assistant"');
        const startedAt = performance.now();
        cli.tell({ type: "control_request", request_id: "stop", request: { subtype: "interrupt" } });
        await cli.says('"type":"result"');
        const took = performance.now() - startedAt;
        cli.end();
        await cli.ended;
        return took;
      },
    )
  ).map(median);

  const [answer, bareAnswer] = (
    await interleave(
      rounds,
      async () => {
        const run = await client.send(asker.id, prompt());
        const { requestId } = await until(async () => (await client.run(run.id)).waitingFor, "it asks");
        const said = toResult(run, '"type":"tool_result"');
        const startedAt = performance.now();
        void otherDevice.ok("POST", `/v1/runs/${run.id}/answers`, { requestId, behavior: "deny", message: "no" });
        await said;
        const took = performance.now() - startedAt;
        await client.finish(run.id);
        return took;
      },
      async () => {
        const cli = await attach(...ask);
        cli.tell(message());
        await cli.says('"subtype":"can_use_tool"');
        const requestId = cli.match(/"request_id":"([^"]+)","request":\{"subtype":"can_use_tool"/);
        const startedAt = performance.now();
        const response = { behavior: "deny", message: "no" };
        cli.tell({ type: "control_response", response: { subtype: "success", request_id: requestId, response } });
        await cli.says('"type":"tool_result"');
        const took = performance.now() - startedAt;
        cli.end();
        await cli.ended;
        return took;
      },
    )
  ).map(median);
  const difference = { unit: "ms", compare: "difference" } as const;
  printFigures([
    {
      name: "interrupt → result at the client, over the bare CLI's own",
      ours: interrupt!,
      bare: bareInterrupt!,
      ...difference,
      target: { bound: 300 },
    },
    {
      name: "an answer on a second device → what the CLI makes of it at the first, over the bare CLI's own",
      ours: answer!,
      bare: bareAnswer!,
      ...difference,
      target: { bound: 100 },
    },
  ]);
} finally {
  await berth.close();
  await model.close();
}

/** Reads on until an event says that. */
async function sees(events: AsyncGenerator<{ data: string }>, words: string): Promise<void> {
  for (let event = await events.next(); !event.done; event = await events.next())
    if (event.value.data.includes(words)) return;
  throw new Error(`the run ended without ${words}`);
}
