/**
 * What calls and reports cost as what there is grows: CPU of the gateway's code on real databases, in this process and without
 * HTTP, so that other work on the machine changes little.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLog } from "@berth/shared/log";
import { describeWorkspace } from "@berth/shared/resources";
import { parseSettings } from "@berth/shared/settings";
import { sql } from "drizzle-orm";
import { createApp } from "../../gateway/src/app.ts";
import type { Deps } from "../../gateway/src/deps.ts";
import { applyReport, readReport } from "../../gateway/src/fleet/reports.ts";
import { nodeDigests } from "../../gateway/src/node/digests.ts";
import { openData } from "../../gateway/src/node/data.ts";
import { createNodeTransport } from "../../gateway/src/node/transport.ts";
import { deleteOld } from "../../gateway/src/tick.ts";
import { idleLoad, makeRun } from "../../gateway/test/host.ts";
import { type Figure, percentile } from "../lib/figures.ts";
import { fillData, type Sizes, userId } from "./fill.ts";
import type { Options, Tell } from "./world.ts";

const rounds = 40;
export type Series = Record<string, [number, number][]>;

/** Milliseconds of CPU for each of so many, after some that warm up. */
async function cpuOf(act: () => Promise<unknown>): Promise<number> {
  for (let at = 0; at < rounds / 2; at++) await act();
  const before = process.cpuUsage();
  for (let at = 0; at < rounds; at++) await act();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / rounds;
}

async function withData<T>(
  tell: Tell,
  sizes: Partial<Sizes>,
  act: (deps: Deps, tokens: string[]) => Promise<T>,
): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), "berth-scale-"));
  const none = { hosts: 0, workspaces: 0, online: 10, newcomers: 0, runs: 0, waiting: 0, expired: 0 };
  const { tokens } = await fillData({ BERTH_DATA_DIR: dir }, { ...none, ...sizes }, tell);
  const settings = parseSettings({ BERTH_DATA_DIR: dir });
  const data = await openData(settings);
  const transport = createNodeTransport();
  try {
    return await act(
      { settings, ...data, digests: nodeDigests, transport, log: createLog(() => {}), uses: new Map(), now: Date.now },
      tokens,
    );
  } finally {
    transport.close();
    data.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Of a user who has two tenths of all runs. */
const lists = {
  "all runs, newest first": "/v1/runs?limit=20",
  "runs that failed": "/v1/runs?limit=20&status=failed",
  "runs of an agent": "/v1/runs?limit=20&agentId=agt_scale0",
  "search of a word": "/v1/search?limit=20&q=module7",
  "search of two words": "/v1/search?limit=20&q=button+module7",
};

async function measureRuns(counts: number[], tell: Tell): Promise<Series> {
  const series: Series = {};
  const add = (name: string, runs: number, ms: number) => (series[name] ??= []).push([runs, ms]);
  for (const runs of counts) {
    const expired = Math.floor(runs / 10);
    await withData(tell, { runs, expired }, async (deps, tokens) => {
      const app = createApp(deps);
      const headers = { authorization: `Bearer ${tokens[0]}` };
      for (const [name, path] of Object.entries(lists))
        add(
          name,
          runs,
          await cpuOf(async () => {
            const answer = await app.request(path, { headers });
            if (!answer.ok) throw new Error(await answer.text());
            await answer.arrayBuffer();
          }),
        );
      const slices: number[] = [];
      for (let isMore = true; isMore && slices.length < rounds;) {
        const before = process.cpuUsage();
        isMore = await deleteOld(deps, Date.now());
        const { user, system } = process.cpuUsage(before);
        slices.push((user + system) / 1000);
      }
      add("a slice of the retention", runs, percentile(slices, 50));
      add("a slice of the retention, 90th percentile", runs, percentile(slices, 90));
    });
    tell(`${runs} runs`);
  }
  return series;
}

async function measureReports(counts: number[], tell: Tell): Promise<Series> {
  const series: Series = {};
  for (const count of counts) {
    await withData(tell, { hosts: 1, workspaces: count }, async (deps) => {
      await deps.atomic([
        sql`insert into hosts (id, name, url, public_key, created_at) values ('hst_1', 'a', 'http://127.0.0.1:9', '{}', '2026')`,
      ]);
      const absent = { ...describeWorkspace(deps.settings, "hst_1"), containerId: "c".repeat(64), status: "running" };
      const workspaces = Array.from({ length: count }, (_, at) => ({ ...absent, userId: userId(at) }));
      let seq = 0;
      const report = (told: object) => async () => {
        const about = { protocol: 3, version: "scale", epoch: "e", seq: ++seq, since: 1, after: 0, complete: true };
        const all = {
          ...about,
          rev: seq,
          url: "http://127.0.0.1:9",
          load: idleLoad,
          workspaces: [],
          runs: [],
          agents: [],
        };
        const run = { id: "run_1", userId: userId(0), agentId: "agt_scale0", rev: seq, prompt: "once" };
        const runs = "runs" in told ? [makeRun(run)] : [];
        await applyReport(deps, "hst_1", readReport(structuredClone({ ...all, ...told, runs })).report);
      };
      const kinds = { "all workspaces": { workspaces }, "nothing new": {}, "a run that changed": { runs: [] } };
      for (const [name, told] of Object.entries(kinds)) (series[name] ??= []).push([count, await cpuOf(report(told))]);
    });
    tell(`${count} workspaces`);
  }
  return series;
}

/** 10 to the power of so much, up to `most`. */
export const powers = (most: number, from: number) => {
  const all: number[] = [];
  for (let one = from; one <= most; one *= 10) all.push(one);
  return all;
};

export async function measureGrowth(options: Options, tell: Tell) {
  const workspaces = await measureReports(powers(Math.max(10, options.workspaces * 10), 1), tell);
  const runs = await measureRuns(powers(options.runs, 100), tell);
  const last = (series: Series, name: string) => series[name]!.at(-1)!;
  const figure = (series: Series, name: string, of: string, bound?: number): Figure => {
    const [size, ours] = last(series, name);
    return { name: `CPU of ${name}, with ${size} ${of}`, ours, unit: "ms", ...(bound && { target: { bound } }) };
  };
  const figures = [
    ...Object.keys(workspaces).map((name) =>
      figure(workspaces, name, "workspaces", name.startsWith("all") ? undefined : 5),
    ),
    ...Object.keys(runs).map((name) => figure(runs, name, "runs", name.startsWith("a slice") ? 20 : 50)),
  ];
  return { figures, facts: { workspaces, runs } };
}
