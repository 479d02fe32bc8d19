/** What a fault is, what it can reach, and how it leaves word of what it did to whom. */
import { execFileSync } from "node:child_process";
import { existsSync, renameSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import type { Client } from "../harness/client.ts";
import type { Fleet, FleetHost } from "../engines/fleet.ts";
import { until } from "../../gateway/test/wait.ts";
import { type Daemon } from "../harness/harness.ts";
import { pause, type Random } from "./random.ts";
import type { Deed } from "../judge/events.ts";
import type { Worker } from "./load.ts";
import type { Recorder } from "./recorder.ts";
import type { Relay } from "./relay.ts";

export interface Scene {
  fleet: Fleet;
  relay: Relay;
  admin: Client;
  random: Random;
  recorder: Recorder;
  workers: Worker[];
}
export interface Fault {
  name: string;
  weight: number;
  /** What it breaks: two faults at once are of two places. */
  of: "host" | "gateway";
  /** Ends a process of the product: what it held before says nothing of what it holds afterwards. */
  isDeadly?: boolean;
  /** Asks for things that another fault at the same time would prevent. */
  isAlone?: boolean;
  /** Ends when all is mended again; says what it did. */
  act(scene: Scene, host: FleetHost): Promise<string>;
}

/** Ends a process of the product, and writes down how it ended. */
export async function endDaemon(
  { recorder }: Scene,
  daemon: Daemon,
  name: string,
  asked: NodeJS.Signals,
): Promise<void> {
  recorder.write({ kind: "ended", daemon: name, code: await daemon.kill(asked), asked });
}

/** Writes down what breaks runs, at the moment it is done. */
export const tellDeed = ({ recorder }: Scene, deed: Deed, host: string, copiedAt?: number) =>
  recorder.write({ kind: "deed", deed, host, ...(copiedAt !== undefined && { copiedAt }) });

/** Killed, or asked to end. */
export async function endAndStart(scene: Scene, daemon: Daemon, name: string, pauses: number[]): Promise<string> {
  const { random } = scene;
  const signal = random.pick(["SIGKILL", "SIGKILL", "SIGTERM"] as const);
  await endDaemon(scene, daemon, name, signal);
  const ms = random.pick(pauses);
  await pause(ms);
  await daemon.start();
  return `by ${signal}, away for ${ms} ms`;
}

export async function killContainers(scene: Scene, host: FleetHost): Promise<void> {
  tellDeed(scene, "containers killed", host.name);
  await host.kill();
  tellDeed(scene, "containers killed", host.name);
}

/** Where the copy of the gateway's database is that a fault restores. */
export const copyOf = (fleet: Fleet) => join(fleet.dir, "gateway.copy");

/** Takes that copy. */
export const keepCopy = (fleet: Fleet) => backUp(join(fleet.gatewayDir, "gateway.sqlite"), copyOf(fleet));

export async function backUp(file: string, copy: string): Promise<void> {
  const db = new Database(file, { readonly: true });
  try {
    rmSync(`${copy}.new`, { force: true });
    await db.backup(`${copy}.new`);
    renameSync(`${copy}.new`, copy);
  } finally {
    db.close();
  }
}

export async function fillDisk(scene: Scene, path: string, host: string, ms: number): Promise<string> {
  const ballast = join(path, "ballast");
  const { bavail, bsize } = statfsSync(path);
  tellDeed(scene, "disk full", host);
  try {
    execFileSync("fallocate", ["-l", String(bavail * bsize), ballast], { stdio: "ignore" });
  } catch {
    // As much as there was.
  }
  await pause(ms);
  rmSync(ballast, { force: true });
  await until(() => !existsSync(ballast), "the ballast is gone");
  tellDeed(scene, "disk free", host);
  return `for ${ms} ms`;
}
