/**
 * For tests: the runs of one host over real files, a real database and real processes, as they stand when a host agent has just
 * begun. The container is there and the engine says what a test has it say. Root's, for files are sealed and processes have uids.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unseenAgent } from "@berth/shared/host-api";
import type { RuntimeName } from "@berth/shared/kinds/runtimes";
import { createLog } from "@berth/shared/log";
import type { Settings } from "@berth/shared/settings";
import type { Engine } from "../src/machine/engine.ts";
import { identify } from "../src/machine/processes.ts";
import { removeRunFiles } from "../src/run/run-files.ts";
import { type RunDeps, Runs } from "../src/run/runs.ts";
import type { RunRow } from "../src/store/rows.ts";
import { Store } from "../src/store/store.ts";
import { runGid } from "../src/store/uids.ts";
import type { RunningContainer } from "../src/workspace/container.ts";
import type { Workspaces } from "../src/workspace/workspaces.ts";
import { makeContext } from "./context.ts";
import { inMemory } from "./memory.ts";
import { threeRuns } from "./room.ts";

export const userId = "usr_a";
const usage = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 };

interface Told {
  settings?: Partial<Settings>;
  engine?: Partial<Engine>;
  workspaces?: Partial<Workspaces>;
  /** Whether the volume is a disk of its own, of a few MiB. */
  isDisk?: boolean;
}

export function openLiveRuns({ settings, engine, workspaces, isDisk = false }: Told = {}) {
  const root = mkdtempSync(join(tmpdir(), "berth-live-"));
  const at = (name: string) => join(root, name);
  for (const name of ["volume", "cgroup"]) mkdirSync(at(name));
  if (isDisk) mountDisk(root);
  for (const name of ["runs", "workspace"]) mkdirSync(at(`volume/${name}`));
  const given = {
    "cgroup.procs": "",
    "cgroup.freeze": "",
    "cgroup.events": "frozen 1\n",
    "memory.events": "oom_kill 0\n",
  };
  for (const [name, text] of Object.entries(given)) writeFileSync(at(`cgroup/${name}`), text);
  const events: { event: string; [field: string]: unknown }[] = [];
  const own = makeContext(root);
  const all = { ...own.settings, ...settings };
  const log = createLog((line) => events.push(JSON.parse(line) as (typeof events)[number]));
  const context = { ...own, log, settings: all, settingsOf: () => all };
  const store = new Store(inMemory(), context.clock.now);
  const [tmp, trash, uids] = [root, root, root];
  const volume = {
    root: at("volume"),
    runs: at("volume/runs"),
    workspace: at("volume/workspace"),
    tmp,
    trash,
    uids,
    limitBytes: 2 ** 22,
  };
  const memory = at("cgroup");
  const container = {
    id: "c".repeat(64),
    init: identify(process.pid)!,
    cgroup: { version: 2, memory, cpu: memory, pids: memory, freezer: memory },
    volume,
    limits: { memoryBytes: 2 ** 30, cpus: 1, pids: 9 },
    prepared: Promise.resolve(),
    isPrepared: true,
    isReady: true,
  } as unknown as RunningContainer;
  const find = async () => container;
  const deps = {
    context,
    store,
    engine: {
      createExec: async () => "exec_1",
      startExec: async () => "started",
      inspectExec: async () => null,
      ...engine,
    },
    volumes: { ensure: async () => volume, exists: () => true },
    workspaces: {
      find,
      ensure: find,
      ensureReady: find,
      current: () => container,
      admitAgent: async () => {},
      isOutdated: () => false,
      ...workspaces,
    },
    countKills: () => {},
    closeModel: () => {},
  } as unknown as RunDeps;
  const runs = new Runs(deps);
  const processes: ChildProcess[] = [];
  const runIds: string[] = [];
  return {
    runs,
    store,
    container,
    deps,
    /** Lines of the log with this name. */
    told: (name: string) => events.filter(({ event }) => event === name),
    write: (runId: string, name: string, text: string) => writeFileSync(join(volume.runs, runId, name), text),
    /** A run that an earlier host agent had admitted and, unless it was only that, begun; with the files that its wrapper has left. */
    leave(
      runId: string,
      files: Record<string, string>,
      { isBegun = true, runtime = "shell", prompt = "x" } = {},
    ): RunRow {
      const agentId = runId.replace("run", "agt");
      store.learnAgent(
        userId,
        { ...unseenAgent(agentId), version: 1, name: "a", runtime: runtime as RuntimeName },
        null,
      );
      const trigger = { kind: "api", triggerId: null } as const;
      store.admit({ id: runId, agentId, userId, trigger, prompt, payload: null }, threeRuns, true);
      const known = { execId: "exec_1", containerId: container.id };
      store.updateRun(runId, isBegun ? { ...known, status: "running", startedAt: context.clock.iso() } : known);
      mkdirSync(join(volume.runs, runId));
      runIds.push(runId);
      for (const [name, text] of Object.entries({
        out: "said\n",
        err: "",
        end: "\n",
        container: container.id,
        ...files,
      }))
        writeFileSync(join(volume.runs, runId, name), text);
      return store.getRun(runId)!;
    },
    /** Each look at it fails from now on, as at a bad sector: with another error, and for good. */
    spoil(runId: string, name: string): void {
      const path = name === "ends" ? join(volume.root, name) : join(volume.runs, runId, name);
      rmSync(path, { force: true });
      mkdirSync(path);
    },
    /** A process of the run's agent, in the container. */
    startProcess(runId: string): ChildProcess {
      const { uid } = store.getAgent(store.getRun(runId)!.agentId)!;
      const child = spawn("sleep", ["1000"], { uid, gid: runGid, stdio: "ignore" });
      processes.push(child);
      writeFileSync(at("cgroup/cgroup.procs"), processes.map(({ pid }) => `${pid}\n`).join(""));
      return child;
    },
    /** Takes all that the volume has left. */
    fill(): void {
      const ballast = openSync(join(volume.root, "ballast"), "w");
      try {
        for (;;) writeSync(ballast, Buffer.alloc(1024));
      } catch {
        closeSync(ballast);
      }
    },
    spend: (runId: string, costUsd: number) => store.addUsage(runId, { ...usage, costUsd }),
    async close(): Promise<void> {
      runs.close();
      for (const child of processes) child.kill("SIGKILL");
      store.close();
      for (const runId of runIds) await removeRunFiles(volume, runId);
      // Lazily: the note of an end may be on its way to the disk.
      if (isDisk) execFileSync("umount", ["-l", volume.root]);
      rmSync(root, { recursive: true });
    },
  };
}

function mountDisk(root: string): void {
  execFileSync("truncate", ["-s", "4M", join(root, "disk")]);
  execFileSync("mkfs.ext4", ["-q", "-F", "-m", "0", "-O", "^has_journal", join(root, "disk")]);
  execFileSync("mount", ["-o", "loop", join(root, "disk"), join(root, "volume")]);
}
