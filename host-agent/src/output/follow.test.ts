import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { toEventBlock } from "./event-block.ts";
import { follow } from "./follow.ts";
import { createStreams } from "./open-streams.ts";
import { toBody } from "./sse.ts";
import { createBus } from "../context/bus.ts";
import { createTurns } from "../context/turns.ts";
import { createClock } from "../context/clock.ts";
import { Store } from "../store/store.ts";
import { runDirectory } from "../run/run-files.ts";
import { splitLines } from "../run/run-log.ts";
import { type Volume } from "../workspace/volume.ts";
import { inMemory } from "../../test/memory.ts";
import { unseenAgent } from "@berth/shared/host-api";
import { parseSettings } from "@berth/shared/settings";
import { threeRuns } from "../../test/room.ts";

let dir: string;
let store: Store;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-follow-"));
  store = new Store(inMemory(), Date.now);
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true, force: true });
});

const openBelow = (path: string) =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(path);
    } catch {
      return false;
    }
  });

/** A run whose log is longer than one batch, and what reads it. */
function beginLongRun() {
  const volume: Volume = {
    limitBytes: 0,
    root: dir,
    workspace: dir,
    runs: join(dir, "runs"),
    tmp: dir,
    trash: dir,
    uids: dir,
  };
  const trigger = { kind: "api", triggerId: null } as const;
  const run = { id: "run_1", agentId: "agt_1", userId: "usr_1", trigger, prompt: "", payload: null };
  const spec = { ...unseenAgent("agt_1"), version: 1 };
  store.learnAgent("usr_1", spec, null);
  store.admit(run, threeRuns);
  store.updateRun(run.id, { status: "running", startedAt: "2026-01-01T00:00:00.000Z" });
  mkdirSync(runDirectory(volume, run.id), { recursive: true });
  appendFileSync(join(runDirectory(volume, run.id), "out"), `${"x".repeat(1000)}\n`.repeat(1000));
  const volumes = { exists: () => true, ensure: async () => volume };
  const context = { bus: createBus(), turns: createTurns(), settings: parseSettings({}) };
  return { volume, run, reading: { context, store, volumes, delivered: async () => true } };
}

test("a reader that leaves in the midst of a long log leaves no file open", async () => {
  const { volume, run, reading } = beginLongRun();
  for await (const event of follow(reading, run.id, 0, new AbortController().signal, splitLines))
    if (event.kind === "lines") break;
  expect(openBelow(volume.runs)).toEqual([]);
});

test("what lies in the directory of a run that has not started is no line of it", async () => {
  const { volume, run, reading } = beginLongRun();
  store.updateRun(run.id, { status: "starting", startedAt: null });
  let looks = 0;
  const context = { ...reading.context, turns: async () => void looks++ };
  const events = follow({ ...reading, context }, run.id, 0, new AbortController().signal, splitLines);
  expect((await events.next()).value).toMatchObject({ kind: "run", run: { status: "starting" } });
  const second = events.next();
  await vi.waitFor(() => expect(looks).toBeGreaterThan(0));
  rmSync(join(runDirectory(volume, run.id), "out"));
  appendFileSync(join(runDirectory(volume, run.id), "out"), "its own\n");
  reading.context.bus.emitRun(store.updateRun(run.id, { status: "running", startedAt: "2026-01-01T00:00:00.000Z" })!);
  expect((await second).value).toMatchObject({ kind: "run", run: { status: "running" } });
  expect((await events.next()).value).toMatchObject({ kind: "lines", lines: [{ offset: 8 }] });
  await events.return(undefined);
});

test("one look that was held up holds up no line that comes after it", async () => {
  const { volume, run, reading } = beginLongRun();
  vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] });
  try {
    let turns = 0;
    // The second is in the midst of the first look.
    const slowTurns = async () => void (++turns === 2 && vi.advanceTimersByTime(10));
    const deps = { ...reading, context: { ...reading.context, turns: slowTurns } };
    const events = follow(deps, run.id, 0, new AbortController().signal, splitLines);
    const next = async () => {
      const { value } = await events.next();
      return value?.kind === "lines" ? value.lines.length : 0;
    };
    let lines = 0;
    while (lines < 1000) lines += await next();
    const late = next();
    appendFileSync(join(runDirectory(volume, run.id), "out"), "late\n");
    reading.context.bus.emit(`run:${run.id}`);
    expect(await late).toBe(1);
    await events.return(undefined);
  } finally {
    vi.useRealTimers();
  }
});

test("whoever reads a run that says nothing is told by a comment, after each 10 s, that the stream is there", async () => {
  const { run, reading } = beginLongRun();
  vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const body = toBody(
    (signal) => follow(reading, run.id, 0, signal, toEventBlock),
    () => () => {},
  ).getReader();
  const read = async () => new TextDecoder().decode((await body.read()).value);
  for (let lines = 0; lines < 1000;) lines += (await read()).split("event: output").length - 1;
  for (let silence = 0; silence < 2; silence++) {
    let said = "";
    const next = read().then((text) => void (said = text));
    while (!vi.getTimerCount()) await new Promise(setImmediate);
    vi.advanceTimersByTime(9999);
    await new Promise(setImmediate);
    expect(said).toBe("");
    vi.advanceTimersByTime(1);
    await next;
    expect(said).toBe(": still here\n\n");
  }
  await body.cancel();
});

test("who reads on a host that its gateway has removed is told no end: the gateway tells another", async () => {
  const { run, reading } = beginLongRun();
  reading.store.endRun(run.id, { status: "completed", reason: "completed", endedAt: "2026-11-29T00:00:00.000Z" }, null);
  const told = async (isKnown: boolean) => {
    const delivered = async () => isKnown;
    const kinds: string[] = [];
    for await (const { kind } of follow({ ...reading, delivered }, run.id, 0, new AbortController().signal, splitLines))
      if (kind !== "lines") kinds.push(kind);
    return kinds;
  };
  expect(await told(true)).toEqual(["run", "run"]);
  expect(await told(false)).toEqual(["run"]);
});

test("a stream whose reader takes nothing for long is broken off, and lets go of the log", async () => {
  const { volume, run, reading } = beginLongRun();
  const body = toBody(
    (signal) => follow(reading, run.id, 0, signal, toEventBlock),
    () => () => {},
    undefined,
    50,
  ).getReader();
  while (openBelow(volume.runs).length === 0) await body.read();
  await expect.poll(() => openBelow(volume.runs)).toEqual([]);
  await expect(body.read()).rejects.toThrow("stalled");
});

test("a stream whose reader stalls lets go of the log when its credential is revoked", async () => {
  const { volume, run, reading } = beginLongRun();
  const streams = createStreams(createClock());
  const claims = { sub: "usr_1", tid: "tok_1", texp: Infinity };
  const body = toBody(
    (signal) => follow(reading, run.id, 0, signal, toEventBlock),
    (end) => streams.add(claims, end),
  ).getReader();
  while (openBelow(volume.runs).length === 0) await body.read();
  streams.closeRevoked(new Set(["tok_1"]), new Set());
  await expect.poll(() => openBelow(volume.runs)).toEqual([]);
  expect(await body.read()).toEqual({ done: true, value: undefined });
  expect(streams.count()).toBe(0);
});
