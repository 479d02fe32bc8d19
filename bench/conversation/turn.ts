/**
 * A running turn: from an interrupt to the CLI's result, and from an answer of another device to what the CLI makes of it, each against
 * the bare CLI's own time; and whether a word said during a tool call is in the very next call to the model. `PAIRS` says how many.
 */
import type { Run } from "@berth/shared/resources";
import { until } from "../../gateway/test/wait.ts";
import type { Client } from "../../e2e/harness/client.ts";
import { startBerth } from "../../e2e/harness/harness.ts";
import { type Scripted, startModel } from "../../e2e/harness/model-endpoint.ts";
import { attachBeside } from "../lib/attached-cli.ts";
import { interleave, median, printFigures } from "../lib/figures.ts";

const rounds = Number(process.env["PAIRS"] ?? 30);
const command = "timeout 300 tail -f /dev/null";
const ask = ["--input-format", "stream-json", "--permission-prompt-tool", "stdio", "--permission-mode", "default"];
const skip = ["--input-format", "stream-json", "--dangerously-skip-permissions"];

/** Tool calls of a turn into which words are said, one word during each. */
const steps = 5;
const toolOf = (turn: number, step: number) => `toolu_turn${turn}step${step}`;
const wordOf = (turn: number, step: number) => `Word ${step} of turn ${turn}.`;

const isFirst = new Set<string>();
const model = await startModel(({ prompt, stream, told }) => {
  const [, turn] = /.*Steps of turn (\d+)\./.exec(told) ?? [];
  if (stream && turn) return stepAfter(Number(turn), told);
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

  const turns = Array.from({ length: Math.ceil(rounds / steps) }, (_, turn) => turn);
  const talker = await client.createAgent("talker");
  const said: Said[] = [];
  for (const turn of turns) {
    said.push(...(await talk(client, talker.id, turn)));
    process.stderr.write(`  ${said.length} of ${steps * turns.length} words\n`);
  }
  const medianOf = (what: "taken" | "replayed" | "atBoundary") => median(said.map((word) => word[what]));
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
    {
      name: "words said during a tool call that the model's very next call had",
      ours: said.filter(({ isRead }) => isRead).length,
      unit: `of ${said.length}`,
      target: { bound: said.length, from: "below" },
    },
    { name: "answer to that word → the CLI says that it has it", ours: medianOf("taken"), unit: "ms" },
    { name: "end of the tool call → the CLI's replay of the word", ours: medianOf("atBoundary"), unit: "ms" },
    {
      name: "answer to the word → its replay, with what is left of a tool call of 1 s",
      ours: medianOf("replayed"),
      unit: "ms",
    },
  ]);
} finally {
  await berth.close();
  await model.close();
}

function stepAfter(turn: number, told: string): Scripted {
  const step = told.split(`"tool_use_id":"${toolOf(turn, 0).slice(0, -1)}`).length - 1;
  if (step === steps) return { blocks: [{ type: "text", text: "done" }] };
  const input = { command: "timeout 1 tail -f /dev/null; true", description: "takes a second" };
  return { blocks: [{ type: "tool_use", id: toolOf(turn, step), name: "Bash", input }] };
}

interface Said {
  isRead: boolean;
  /** Milliseconds from the API's answer to the CLI's word that it has it, and to its replay; and from the tool's end to that. */
  taken: number;
  replayed: number;
  atBoundary: number;
}

/** A turn of several tool calls, into each of which a word is said. */
async function talk(client: Client, agentId: string, turn: number): Promise<Said[]> {
  const { id } = await client.send(agentId, `Steps of turn ${turn}.`);
  const lines: { data: string; at: number }[] = [];
  const read = (async () => {
    for await (const { data } of client.events(id)) lines.push({ data, at: performance.now() });
  })();
  const line = (...words: string[]) => lines.find(({ data }) => words.every((word) => data.includes(word)));
  const answered: { messageId: string; at: number }[] = [];
  for (let step = 0; step < steps; step++) {
    await until(() => line('"type":"assistant"', toolOf(turn, step)), "the tool is called");
    const word = { text: wordOf(turn, step) };
    const { messageId } = await client.ok<{ messageId: string }>("POST", `/v1/runs/${id}/messages`, word);
    answered.push({ messageId, at: performance.now() });
  }
  await read;
  return answered.map(({ messageId, at }, step) => {
    const ended = `"tool_use_id":"${toolOf(turn, step)}"`;
    const replay = line('"isReplay":true', `"uuid":"${messageId}"`)!.at;
    const next = model.calls.find(({ stream, told }) => stream && told.includes(ended))!;
    return {
      isRead: next.told.includes(wordOf(turn, step)),
      taken: line(`"command_uuid":"${messageId}"`, '"state":"queued"')!.at - at,
      replayed: replay - at,
      atBoundary: replay - line(ended)!.at,
    };
  });
}

/** Reads on until an event says that. */
async function sees(events: AsyncGenerator<{ data: string }>, words: string): Promise<void> {
  for (let event = await events.next(); !event.done; event = await events.next())
    if (event.value.data.includes(words)) return;
  throw new Error(`the run ended without ${words}`);
}
