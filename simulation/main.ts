/**
 * `npm run simulate -- [--world joint] [--seed N] [--count C] [--minutes M] [--every E] [--ops 0,3,4] [--trace] [--json]`: plays
 * schedules from that seed on, says of each that breaks an invariant how to see it again, and keeps it in corpus.json. `--mutant NAME` puts a fault back;
 * `--points` kills and fails at each call of the scenarios instead (of joint ones every E-th from the N-th on), `--growth` counts calls as things grow, `--corpus` plays what was broken once.
 */
import { execFileSync } from "node:child_process";
import { enableCompileCache } from "node:module";
import { parseArgs } from "node:util";
import { replaceGlobals } from "./world/globals.ts";
import { findMutant, growthMutants, mutants, pointMutants } from "./world/mutants.ts";
import { mutants as jointMutants } from "./joint/mutants.ts";
import { registerSubstitutes } from "./world/hooks.ts";

const { values } = parseArgs({
  options: {
    world: { type: "string", default: "host" },
    seed: { type: "string", default: "1" },
    count: { type: "string" },
    minutes: { type: "string" },
    every: { type: "string", default: "1" },
    ops: { type: "string" },
    trace: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    without: { type: "string", default: "" },
    mutant: { type: "string" },
    points: { type: "boolean", default: false },
    corpus: { type: "boolean", default: false },
    contract: { type: "boolean", default: false },
    growth: { type: "boolean", default: false },
    failures: { type: "string", default: "10" },
  },
});
const say = (text: string) => process.stdout.write(`${text}\n`);
enableCompileCache();
const commit = () => execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
replaceGlobals();
const isJoint = values.world === "joint";
const mutant =
  values.mutant === undefined
    ? null
    : findMutant(
        values.mutant,
        isJoint ? jointMutants : values.growth ? growthMutants : values.points ? pointMutants : mutants,
      );
registerSubstitutes(mutant?.mutations);
const { runCampaign, scheduleOf, lineOf, sharesOf, hostGame } = await import("./schedule/campaign.ts");

const { keep, readCorpus } = await import("./schedule/corpus.ts");
const { weights: hostWeights } = await import("./schedule/operations.ts");
const weights = (isJoint ? (await import("./joint/operations.ts")).weights : hostWeights.host) as Record<
  string,
  number
>;
const isLeftOut = (kind: string) =>
  values.without.split(",").includes(kind) || (mutant?.kinds && !mutant.kinds.includes(kind));
for (const kind of Object.keys(weights)) {
  if (isLeftOut(kind)) delete weights[kind];
  else if (mutant?.isEven) weights[kind] = 1;
}

if (values.contract) {
  const wrong = await (await import("./contract/ask.ts")).askModel();
  say(JSON.stringify(wrong));
  process.exit(wrong.length > 0 ? 1 : 0);
}
if (values.growth) {
  say(JSON.stringify(await (await import("./schedule/growth.ts")).countAll()));
  process.exit(0);
}
if (values.points) {
  const results = isJoint
    ? await (await import("./joint/points.ts")).enumerateJoint(Number(values.seed) - 1, Number(values.every))
    : await (await import("./schedule/points.ts")).enumerateAll(mutant?.scenario);
  const { user, system } = process.cpuUsage();
  say(JSON.stringify({ results, cpuSeconds: (user + system) / 1e6 }));
  process.exit(results.some(({ failures }) => failures.length > 0) ? 1 : 0);
}

/** The gateway is loaded for those who play with it. */
const gameOf = async (world: string) =>
  (world === "joint" ? (await import("./joint/game.ts")).jointGame : hostGame) as typeof hostGame;
const game = await gameOf(values.world);
if (values.corpus) {
  const broken = [];
  for (const { world, seed, operations } of readCorpus()) {
    const { violations } = await (await gameOf(world)).play({ seed, operations: operations as never });
    broken.push(...violations.map(({ invariant, detail }) => `${world} ${seed}: ${invariant}: ${detail}`));
  }
  say(JSON.stringify(broken));
  process.exit(broken.length > 0 ? 1 : 0);
}
const seed = Number(values.seed);
if (values.trace || values.ops !== undefined) {
  const outcome = await game.play({
    ...scheduleOf(game, seed, values.ops?.split(",").map(Number)),
    keepsTrace: true,
  });
  say(outcome.lines.join("\n"));
  for (const { invariant, detail } of outcome.violations) say(`broken: ${invariant}: ${detail}`);
  process.exit(outcome.violations.length > 0 ? 1 : 0);
}
const flags = [
  ...(values.without ? [`--without "${values.without}"`] : []),
  ...(values.mutant ? [`--mutant "${values.mutant}"`] : []),
];
const count = Number(values.count ?? (values.minutes ? Infinity : 1000));
const minutes = Number(values.minutes ?? Infinity);
const campaign = await runCampaign(game, {
  from: seed,
  every: Number(values.every),
  count,
  minutes,
  mostFailures: Number(values.failures),
  isMutant: mutant !== null,
});
const { user, system } = process.cpuUsage();
if (!mutant) campaign.failures.forEach(keep);
if (values.json) say(JSON.stringify({ ...campaign, shares: sharesOf(campaign), cpuSeconds: (user + system) / 1e6 }));
else {
  say(
    Object.entries(campaign.seen)
      .sort(([one], [other]) => one.localeCompare(other))
      .map(([what, times]) => `${what} ${times}`)
      .join(", "),
  );
  say(sharesOf(campaign));
  for (const failure of campaign.failures) say(lineOf(failure, commit(), flags));
  if (campaign.failures.length > 0 && !mutant) say("kept in simulation/corpus.json");
  say(
    `${campaign.schedules} schedules, ${campaign.steps} steps, ${campaign.failures.length} broken, hash ${campaign.hash}, ${((user + system) / 1e6).toFixed(1)} CPU s`,
  );
}
process.exit(campaign.failures.length > 0 ? 1 : 0);
