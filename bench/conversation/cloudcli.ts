/**
 * From a message to the first text of its answer and to the turn's end: Berth with a CLI that was started ahead, against CloudCLI on
 * the bare host with the same CLI and the same model. `CLOUDCLI_DIR` says where npm installed it; `PAIRS` says how many, 30 if nothing does.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { until } from "../../gateway/test/wait.ts";
import { startBerth } from "../../e2e/harness/harness.ts";
import { startModel } from "../../e2e/harness/model-endpoint.ts";
import { startCloudCli } from "../lib/cloudcli.ts";
import { interleave, median, percentile, printFigures } from "../lib/figures.ts";

const rounds = Number(process.env["PAIRS"] ?? 30);
const dir = join(process.env["CLOUDCLI_DIR"] ?? "/tmp/cloudcli", "node_modules/@cloudcli-ai/cloudcli");
if (!existsSync(dir)) {
  const install = "npm install --prefix /tmp/cloudcli @cloudcli-ai/cloudcli@1.37.3";
  process.stdout.write(`  CloudCLI is not installed: run "${install}", or name another place by CLOUDCLI_DIR.\n`);
  process.exit(0);
}

const asked = "claude-sonnet-5";
const answer = "done";
const model = await startModel(() => ({ blocks: [{ type: "text", text: answer }] }));
const cloudCli = await startCloudCli(dir, model.url, asked);
const berth = await startBerth({
  BERTH_MODEL_URL: model.url,
  ANTHROPIC_API_KEY: "sk-upstream",
  BERTH_IDLE_SECONDS: "600",
  BERTH_AHEAD: "1",
});
try {
  const client = await berth.client("bench");
  const agent = await client.createAgent("bench", { model: asked });
  let ready = 0;
  /** Until nothing of the last turn goes on, on either side, and Berth's next CLI waits. */
  const rest = async (isBerths: boolean) => {
    const count = () => berth.host.log().split('"ahead.ready"').length - 1;
    if (isBerths) await until(() => count() > ready, "it waits");
    ready = count();
    await cloudCli.rests();
    await pause(200);
  };
  await client.runToEnd(agent.id, "Hello.");
  await cloudCli.message("Hello.", answer);
  await rest(true);
  const ours: { firstText: number; whole: number }[] = [];
  const theirs: typeof ours = [];
  await interleave(
    rounds,
    async () => {
      const startedAt = performance.now();
      const { id } = await client.send(agent.id, "Say something.");
      let firstText = 0;
      for await (const { event, data } of client.events(id))
        if (event === "output" && data.includes(`"text_delta","text":"${answer}"`))
          firstText ||= performance.now() - startedAt;
      if (!firstText) throw new Error("Berth answered without that text.");
      ours.push({ firstText, whole: performance.now() - startedAt });
      await rest(true);
      return firstText;
    },
    async () => {
      const took = await cloudCli.message("Say something.", answer);
      theirs.push(took);
      await rest(false);
      return took.firstText;
    },
  );
  const other = model.calls.find((call) => call.stream && call.model !== asked);
  if (other) throw new Error(`A turn asked for ${other.model}, not for ${asked}.`);
  const firstTexts = (all: typeof ours) => all.map(({ firstText }) => firstText);
  const wholes = (all: typeof ours) => all.map(({ whole }) => whole);
  const ratios = ours.map(({ firstText }, at) => firstText / theirs[at]!.firstText);
  const ratio = { unit: "ms", compare: "ratio" } as const;
  printFigures([
    {
      name: "message → first text, started ahead, against CloudCLI",
      ours: median(firstTexts(ours)),
      bare: median(firstTexts(theirs)),
      ...ratio,
      target: { bound: 0.5 },
    },
    { name: "the same pair by pair, p95", ours: percentile(ratios, 95), unit: "×" },
    {
      name: "the same, p95 of each",
      ours: percentile(firstTexts(ours), 95),
      bare: percentile(firstTexts(theirs), 95),
      ...ratio,
    },
    {
      name: "message → the turn's end, against CloudCLI",
      ours: median(wholes(ours)),
      bare: median(wholes(theirs)),
      ...ratio,
    },
  ]);
} finally {
  await Promise.all([berth.close(), cloudCli.close()]);
  await model.close();
}
