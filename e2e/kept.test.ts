/** What an agent takes of its user's memory and disk: bounded, freed with it, and who takes the most goes first. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Agent } from "@berth/shared/resources";
import { type Client, textOf } from "./harness/client.ts";
import { type Berth, startBerth, userIdOf } from "./harness/harness.ts";

/** `npm run attack -- kept --trials 100` makes more of them. */
const trials = Number(process.env["BERTH_TEST_TRIALS"] ?? 1);
const patience = { timeout: trials * 600_000 };

let berth: Berth;
let alice: Client;
let agent: Agent;
beforeAll(async () => {
  berth = await startBerth({
    BERTH_IDLE_SECONDS: "600",
    BERTH_MAX_RUNS: "4",
    BERTH_RUN_MEMORY_BYTES: "0",
    BERTH_MEMORY_BYTES: String(2 ** 30),
    BERTH_MEMORY_WARN_BYTES: String(2 ** 30),
  });
  alice = await berth.client("alice");
  agent = await alice.createAgent("keeper", { runtime: "shell" });
});
afterAll(() => berth?.close());

const sh = async (of: Agent, script: string) => {
  const { lines, run } = await alice.runToEnd(of.id, script);
  return { out: lines.map(textOf).join("\n"), run };
};

/** Makes what outlives a process, as much as there is; the sizes that were had, in MiB. */
const take = `python3 -c '
import ctypes
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
def segment(mib):
    made = libc.shmget(0, mib << 20, 0o1600)
    if made < 0: return 0
    ctypes.memset(libc.shmat(made, None, 0), 1, mib << 20)
    return mib
print(segment(100), sum(segment(1) for _ in range(100)))
print(sum(libc.msgget(0, 0o1600) >= 0 for _ in range(100)), sum(libc.semget(0, 1, 0o1600) >= 0 for _ in range(100)))'
mkdir /dev/shm/deep; head -c 1M /dev/zero >/dev/shm/deep/file; head -c 1M /dev/zero >/tmp/file`;
const look = "tail -qn +2 /proc/sysvipc/*; find /dev/shm /dev/mqueue /tmp -mindepth 1";

describe("memory that outlives its run", () => {
  test("is bounded and goes with the run; what is in /tmp goes with the agent", async () => {
    expect((await sh(agent, take)).out).toBe("0 16\n32 64");
    // Another agent looks: a further run of this one would free it at its own end.
    const other = await alice.createAgent("other", { runtime: "shell" });
    expect((await sh(other, look)).out).toBe("/tmp/file");
    expect((await sh(other, `${take}; echo >/tmp/others`)).out).toBe("0 16\n32 64");
    await alice.ok("DELETE", `/v1/agents/${agent.id}`);
    agent = await alice.createAgent("keeper", { runtime: "shell" });
    expect((await sh(agent, look)).out).toBe("/tmp/others");
  });
});

describe("the files of a run", () => {
  test("cannot be grown by its agent, and go with it", async () => {
    const doomed = await alice.createAgent("doomed", { runtime: "shell" });
    const { out, run } = await sh(
      doomed,
      `cd /run/berth-runs/$BERTH_RUN_ID; for file in prompt out err exit end; do chmod 600 $file 2>&1; fallocate -l 100M $file 2>&1; done; true`,
    );
    const refused = (file: string) => [
      expect.stringMatching(`changing permissions of '${file}': Operation not permitted`),
      expect.stringMatching(`${file}: (Permission denied|Operation not permitted)|fallocate failed`),
    ];
    expect(out.split("\n")).toEqual(["prompt", "out", "err", "exit", "end"].flatMap(refused));
    const files = join(berth.hostDir, "mnt", await userIdOf(alice), "runs", run.id);
    expect(existsSync(join(files, "prompt"))).toBe(true);
    await alice.ok("DELETE", `/v1/agents/${doomed.id}`);
    // The trace that it began alone: a database that is put back must not start it again.
    expect(readdirSync(files).toSorted()).toEqual(["end", "exit"]);
    expect(readFileSync(join(files, "exit"), "utf8")).toBe("\nbegun\n0\n");
    expect(await alice.run(run.id)).toMatchObject({ status: "completed" });
  });
});

describe("blocks that an agent reserves beyond the end of its run's files", () => {
  test("are given back at the end of the run, by whatever call it took them; what lies in `exit` of an older run, with its agent", async () => {
    const doomed = await alice.createAgent("reserver", { runtime: "shell" });
    const { out, run } = await sh(
      doomed,
      `python3 -c '
import ctypes, fcntl, os, struct
os.chdir("/run/berth-runs/" + os.environ["BERTH_RUN_ID"])
mib = 2**20
for name in ("out", "err", "exit"):
    file = os.open(name, os.O_WRONLY | os.O_APPEND)
    kept = ctypes.CDLL(None).fallocate(file, 1, ctypes.c_long(0), ctypes.c_long(20 * mib))
    fcntl.ioctl(file, 0x4030582a, struct.pack("hhqqiI4i", 0, 0, 0, 40 * mib, 0, 0, 0, 0, 0, 0)) # FS_IOC_RESVSP64
    print(name, kept, os.fstat(file).st_blocks * 512 // mib)
ctypes.CDLL(None).fallocate(file, 0, ctypes.c_long(0), ctypes.c_long(mib))'`,
    );
    expect(out).toBe("out 0 40\nerr 0 40\nexit 0 40");
    const files = join(berth.hostDir, "mnt", await userIdOf(alice), "runs", run.id);
    const taken = (name: string) => statSync(join(files, name)).blocks * 512;
    expect(["out", "err", "exit"].map(taken).filter((bytes) => bytes > 2 ** 16)).toEqual([]);
    expect([statSync(join(files, "exit")).size <= 200, readFileSync(join(files, "out"), "utf8")]).toEqual([
      true,
      `${out}\n`,
    ]);
    execFileSync("chattr", ["-i", join(files, "exit")]);
    execFileSync("fallocate", ["-n", "-l", "20M", join(files, "exit")]);
    execFileSync("chattr", ["+i", join(files, "exit")]);
    await alice.ok("DELETE", `/v1/agents/${doomed.id}`);
    expect(taken("exit")).toBeLessThan(2 ** 16);
  });
});

describe("when memory runs out", () => {
  const hasFloor = (BigInt(`0x${/^CapEff:\s+(\w+)/m.exec(readFileSync("/proc/self/status", "utf8"))![1]}`) >> 24n) & 1n; // CAP_SYS_RESOURCE

  test("agents stand before the forwarder and the init, and cannot step behind them", async () => {
    const { out } = await sh(
      agent,
      "cat /proc/self/oom_score_adj; echo 0 >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj",
    );
    // Without CAP_SYS_RESOURCE nobody on this machine sets a floor.
    expect(out).toBe(hasFloor ? "500\n500" : "500\n0");
    const own = (await berth.processes(await userIdOf(alice))).filter(({ uid }) => uid === 19_999);
    expect(own.map(({ pid }) => readFileSync(`/proc/${pid}/oom_score_adj`, "utf8"))).toEqual(["0\n", "0\n"]);
  });

  test("three runs of 1 GB at once end as out of memory, each of its own, and a fourth goes on", patience, async () => {
    const hogs = await Promise.all([0, 1, 2].map((at) => alice.createAgent(`hog-${at}`, { runtime: "shell" })));
    const eat = `exec python3 -c 'kept = []
while True: kept.append(bytearray(2**22))'`;
    for (let trial = 0; trial < trials; trial++) {
      const quiet = await alice.send(agent.id, "while [ ! -e over ]; do sleep 0.05; done; rm over; echo whole");
      const ends = await Promise.all(hogs.map((hog) => alice.runToEnd(hog.id, eat)));
      expect(ends.map(({ run }) => [run.reason, run.exitCode, run.oomKills])).toEqual(
        hogs.map(() => ["out_of_memory", 137, 1]),
      );
      const home = join(berth.hostDir, "mnt", await userIdOf(alice), "workspace", `agent-${agent.id}`);
      writeFileSync(join(home, "over"), "");
      expect((await alice.finish(quiet.id)).run).toMatchObject({ reason: "completed", result: "whole\n", oomKills: 0 });
    }
  });

  test("many small processes of one agent go before the large one of its neighbour", async () => {
    const [large, many] = await Promise.all(
      ["large", "many"].map((name) => alice.createAgent(name, { runtime: "shell" })),
    );
    const hold = `python3 -c 'import os, time
held = bytearray(400 << 20)
print("held", flush=True)
while not os.path.exists("over"): time.sleep(0.1)'`;
    const quiet = await alice.send(large!.id, hold);
    await alice.firstLine(quiet.id);
    const each = `python3 -c 'import time; held = bytearray(16 << 20); time.sleep(1000)'`;
    const { run } = await alice.runToEnd(
      many!.id,
      `for i in $(seq 60); do ${each} & sleep 0.2; done; n=$(jobs -r | wc -l); kill %%; echo $n of 60; kill 0`,
    );
    expect(run.oomKills).toBeGreaterThan(0);
    const home = join(berth.hostDir, "mnt", await userIdOf(alice), "workspace", `agent-${large!.id}`);
    writeFileSync(join(home, "over"), "");
    expect((await alice.finish(quiet.id)).run).toMatchObject({ reason: "completed", oomKills: 0 });
  });

  test("a tool dies before the CLI that started it, of three at once", patience, async () => {
    const hogs = await Promise.all([0, 1, 2].map((at) => alice.createAgent(`cli-${at}`)));
    const eat = `python3 -c "kept = [bytearray(2**22) for _ in range(2**8)]"; echo tool ended with $?`;
    for (let trial = 0; trial < trials; trial++) {
      const ends = await Promise.all(hogs.map((hog) => alice.runToEnd(hog.id, `demo: run ${eat}`)));
      expect(ends.map(({ run }) => run.reason)).toEqual(hogs.map(() => "completed"));
      for (const { run } of ends) expect(run.result).toMatch(/tool ended with (0|137)/);
    }
  });
});
