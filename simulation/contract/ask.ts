/** The cases of the contract, asked of the model of engine, kernel and files. */
import { isDeepStrictEqual } from "node:util";
import { cases } from "../../host-agent/test/contract/cases.ts";
import type { Place } from "../../host-agent/test/contract/place.ts";
import { connectEngine } from "../../host-agent/src/machine/engine.ts";
import { SharedDatabase } from "../machine/database.ts";
import { forgetRuns } from "../machine/evidence.ts";
import { Machine, setMachines } from "../machine/machine.ts";
import { setScript } from "../machine/script.ts";
import { enter, makeSide, World } from "../world/world.ts";

const uid = 20_123;
/** More than any case takes. */
const longestMs = 60_000;

/** What each case was answered that is not what it should be. */
export async function askModel(): Promise<string[]> {
  const wrong: string[] = [];
  for (const { name, ask, answer } of cases) {
    const world = new World(1);
    enter(world);
    forgetRuns();
    const machine = new Machine(new SharedDatabase());
    setMachines(machine);
    let said: unknown = "nothing";
    const job = async () => {
      said = await ask(await placeOn(machine)).catch(String);
    };
    world.after(0, job, makeSide("asker"));
    await world.run(longestMs, () => said !== "nothing");
    enter(null);
    if (!isDeepStrictEqual(said, answer)) wrong.push(`${name}: ${JSON.stringify(said)}`);
  }
  return wrong;
}

async function placeOn(machine: Machine): Promise<Place> {
  const { files } = machine;
  files.makeDirectories("/data/contract");
  let count = 0;
  const directory = () => {
    const path = `/data/contract/${++count}`;
    files.makeDirectories(path);
    return path;
  };
  return {
    engine: await connectEngine(undefined),
    uid,
    directory,
    spec: () => ({
      name: `contract-${++count}`,
      image: "image",
      labels: { "berth.contract": "yes", "berth.case": String(count) },
      memoryBytes: 2 ** 28,
      cpus: 1,
      pids: 64,
      mounts: [{ source: directory(), target: "/run/berth-runs", readOnly: false }],
    }),
    exec(end) {
      const runId = `run_${++count}`;
      setScript(runId, end === "greedy" ? { chunks: [], isKilled: true } : { chunks: [], end });
      const env = [`BERTH_RUN_ID=${runId}`, `BERTH_AGENT_ID=agt_${count}`];
      for (const at of files.find("/data/contract")!.entries.keys()) {
        files.makeDirectories(`/data/contract/${at}/${runId}`);
        files.add(`/data/contract/${at}/${runId}/out`, "file", 0o600, "open").uid = uid;
        files.add(`/data/contract/${at}/${runId}/exit`, "file", 0o600, "open").uid = uid;
      }
      return { command: ["berth-run"], env, uid, gid: 19_001, workingDir: "/" };
    },
    async fullDirectory() {
      const path = directory();
      files.write(files.add(`${path}/begun`, "file", 0o600, "open"), Buffer.from("\n"), path);
      files.find(path)!.on.isFull = true;
      return path;
    },
    failDisk() {
      const { root } = files;
      root.hasFailed = true;
      return () => void (root.hasFailed = false);
    },
    crash: () => files.crash(files.root),
    async restartEngine(letsGoOn) {
      machine.endEngine(letsGoOn);
      machine.setEngine("there");
    },
    async until(check) {
      while (!(await check())) await new Promise<void>((resolve) => void setTimeout(resolve, 20));
    },
  };
}
