/** Faults at random moments under load, all of it written down, then judged. The same seed chooses the same faults; moments are the machine's. */
import { type FleetHost, startFleet } from "../engines/fleet.ts";
import { until } from "../../gateway/test/wait.ts";
import { userIdOf } from "../harness/harness.ts";
import { createTrigger } from "../harness/sender.ts";
import { judge, readHistory, type Verdict } from "../judge/judge.ts";
import { collect } from "./collect.ts";
import { gatewayFaults } from "./gateway-faults.ts";
import { type Hook, startLoad } from "./load.ts";
import { createRandom, pause } from "./random.ts";
import { machineFaults } from "./machine-faults.ts";
import { membershipFaults } from "./membership-faults.ts";
import { peoplesActs } from "./people.ts";
import { openRecorder, type Recorder, recordClient } from "./recorder.ts";
import { openRelay, type Relay } from "./relay.ts";
import { startSampling } from "./sampling.ts";
import { type Fault, keepCopy, type Scene } from "./scene.ts";
import { startWatch } from "./watch.ts";

export interface Campaign {
  seed: number;
  ms: number;
  hosts: number;
  /** Where the history is written. */
  file: string;
  /** Takes what is done, a line each. */
  tell(line: string): void;
  /** Names of faults to do; all without it. */
  only?: string[];
  /** A soak: the gateway and the first host's agent are never ended, and people rest longer, so that what grows is seen to grow. */
  isSoak?: boolean;
}
export interface Outcome {
  /** How often each was done, by name. */
  faults: Record<string, number>;
  runs: number;
  /** Ends of runs by reason. */
  reasons: Record<string, number>;
  verdicts: Verdict[];
}

/** Each breaks something for a while and mends it again, and leaves word of what it did to whom. */
const faults: Fault[] = [...machineFaults, ...gatewayFaults, ...membershipFaults, ...peoplesActs];
/** Agents of each user; user 0 has one of the real CLI, user 1 more than may run at once. */
const agentsOf = [2, 5, 2, 2];
const diskBytes = 3 * 2 ** 30;
const runTimeoutMs = 60_000;
const logLimitBytes = 2 ** 20;
const maxRuns = 3;

/** Does it all, takes everything away again but the history, and judges that. */
export async function runCampaign(campaign: Campaign): Promise<Outcome> {
  const { seed, ms, hosts, tell, file } = campaign;
  const recorder = openRecorder(file);
  recorder.write({ kind: "campaign", seed, runTimeoutMs, maxRuns, logLimitBytes });
  tell(`seed ${seed}: ${hosts} hosts, ${ms / 1000} s; the history is in ${file}`);
  try {
    const { counts, asked } = await breakFleet(campaign, recorder);
    recorder.flush();
    return {
      faults: counts,
      runs: asked.filter(({ runId }) => runId !== null).length,
      reasons: countBy(asked.filter(({ runId }) => runId !== null).map(({ final }) => final?.reason ?? "none")),
      verdicts: judge(readHistory(file)),
    };
  } finally {
    recorder.close();
  }
}

async function breakFleet(campaign: Campaign, recorder: Recorder) {
  const { seed, ms, hosts, tell, isSoak = false } = campaign;
  const random = createRandom(seed);
  const relays: Relay[] = [];
  const names = new Map<string, string>();
  const onHeard = (from: string) => recorder.write({ kind: "heard", host: names.get(from) ?? from });
  const fleet = await startFleet({
    hosts,
    settings: {
      BERTH_IDLE_SECONDS: "20",
      BERTH_RUN_TIMEOUT_SECONDS: String(runTimeoutMs / 1000),
      BERTH_LOG_BYTES: String(logLimitBytes),
      BERTH_MAX_RUNS: String(maxRuns),
    },
    hostDiskBytes: diskBytes,
    gatewayDiskBytes: 2 ** 28,
    gatewayUrlOf: async ({ name, address }, url) => {
      names.set(address, name);
      if (relays.length === 0)
        relays.push(await openRelay(new URL(url).hostname, url, createRandom(seed + 1), onHeard));
      return relays[0]!.url;
    },
  });
  const watch = startWatch(fleet.hosts, recorder);
  const sampling = startSampling(fleet, recorder);
  try {
    const admin = recordClient(await fleet.client("boss", { admin: true }), "admin", recorder);
    const scene: Scene = { fleet, relay: relays[0]!, admin, random, recorder, workers: [] };
    const hooks = await makeWorkers(scene);
    await keepCopy(fleet);
    const load = startLoad(scene.workers, hooks, createRandom(seed + 2), recorder, isSoak ? 10 : 1);
    const done: string[] = [];
    const end = performance.now() + ms;
    // At least two, however slow the machine is.
    while (performance.now() < end || done.length < 2) {
      await pause(random.whole(300, 4000) * (isSoak ? 3 : 1));
      await Promise.all(choose(scene, campaign).map(async ({ fault, host }) => doOne(scene, fault, host, done, tell)));
      await reviveAll(scene);
      if (random.isTrue(0.2)) await keepCopy(fleet).catch(() => undefined);
    }
    tell("all is mended; waiting for the ends of what was asked");
    await load.stop();
    await until(async () => (await allLive(scene)) === hosts, "all hosts are live");
    // Two reports' time: late ends are told.
    await pause(15_000);
    await sampling.stop();
    await collect(scene, scene.workers, load.asked);
    return { counts: countBy(done), asked: load.asked };
  } catch (error) {
    tell(`--- ${String(error)}`);
    for (const daemon of [fleet.gateway, ...fleet.hosts.map(({ agent }) => agent)]) tell(`--- log\n${daemon.log()}`);
    throw error;
  } finally {
    await sampling.stop();
    relays.forEach((relay) => relay.close());
    await fleet.close();
    await watch.stop();
  }
}

/** Users with their agents; one of each user's but the first has a trigger. */
async function makeWorkers({ fleet, recorder, workers }: Scene): Promise<Hook[]> {
  const hooks: Hook[] = [];
  for (const [at, count] of agentsOf.entries()) {
    const user = `user${at}`;
    const plain = await fleet.client(user);
    const userId = await userIdOf(plain);
    const client = recordClient(plain, userId, recorder);
    recorder.write({ kind: "user", user: userId, name: user });
    for (let index = 0; index < count; index++) {
      const runtime = at === 0 && index === 1 ? "claude" : "shell";
      const agent = await plain.createAgent(`${runtime}${index}`, { runtime });
      recorder.write({ kind: "agent", user: userId, agent: agent.id, runtime });
      const isHooked = at > 0 && index === 0;
      const isShell = runtime === "shell";
      const worker = { user, userId, client, agentId: agent.id, isShell, isDeletable: isShell && !isHooked };
      workers.push(worker);
      if (isHooked) hooks.push({ worker, trigger: await createTrigger(plain, agent, "{{payload.script}}") });
    }
  }
  return hooks;
}

/** A fault and the host it breaks; now and then a second one elsewhere at the same time. */
function choose({ random, fleet }: Scene, { only, isSoak }: Campaign): { fault: Fault; host: FleetHost }[] {
  const open = faults.filter(
    ({ name, of, isDeadly }) =>
      (!only || only.some((part) => name.includes(part))) && !(isSoak && isDeadly && of === "gateway"),
  );
  const pick = () => {
    const fault = random.pick(open.flatMap((fault) => Array.from({ length: fault.weight }, () => fault)));
    return { fault, host: random.pick(isSoak && fault.isDeadly ? fleet.hosts.slice(1) : fleet.hosts) };
  };
  const [first, second] = [pick(), pick()];
  const isApart =
    !first.fault.isAlone &&
    !second.fault.isAlone &&
    (first.fault.of !== second.fault.of || (first.fault.of === "host" && first.host !== second.host));
  return random.isTrue(0.4) && isApart ? [first, second] : [first];
}

async function doOne(
  scene: Scene,
  { name, of, act }: Fault,
  host: FleetHost,
  done: string[],
  tell: (line: string) => void,
): Promise<void> {
  const [from, where] = [Date.now(), of === "host" ? host.name : "gateway"];
  done.push(name);
  scene.recorder.write({ kind: "fault", name, host: where, phase: "begins" });
  const said = await act(scene, host).catch((error: Error) => {
    scene.recorder.write({ kind: "remark", text: `${name}, ${where}: ${error.message}` });
    return `not as it should: ${error.message.slice(0, 200)}`;
  });
  scene.recorder.write({ kind: "fault", name, host: where, phase: "ends" });
  const at = new Date(from).toISOString().slice(11, 23);
  tell(`${at} ${name}${of === "host" ? `, ${host.name}` : ""}: ${said} (${Date.now() - from} ms)`);
}

/** As a supervisor would; but none of them should have ended by itself. */
async function reviveAll({ fleet, recorder }: Scene): Promise<void> {
  const all = { gateway: fleet.gateway, ...Object.fromEntries(fleet.hosts.map(({ name, agent }) => [name, agent])) };
  for (const [name, daemon] of Object.entries(all)) {
    const code = await Promise.race([daemon.ended(), "alive"]);
    if (typeof code === "string") continue;
    recorder.write({ kind: "ended", daemon: name, code, asked: null });
    await daemon.start();
  }
}

function countBy(items: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) counts[item] = (counts[item] ?? 0) + 1;
  return counts;
}

async function allLive({ admin }: Scene): Promise<number> {
  const { items } = await admin.ok<{ items: { status: string }[] }>("GET", "/v1/admin/hosts");
  return items.filter(({ status }) => status === "live").length;
}
