/** A backup is made while everything runs, and what it holds is all there after the machine's data was lost. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Run } from "@berth/shared/resources";
import Database from "better-sqlite3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../gateway/test/wait.ts";
import type { Client } from "./harness/client.ts";
import { type Berth, startBerth, userIdOf } from "./harness/harness.ts";
import { unmountBelow } from "./harness/traces.ts";
import { makeOwnDirectory } from "@berth/shared/node/own-directory";

let berth: Berth;
let alice: Client;
let kept: string;
beforeAll(async () => {
  kept = makeOwnDirectory("backup");
  berth = await startBerth();
  alice = await berth.client("alice");
});
afterAll(async () => {
  await berth?.close();
  rmSync(kept, { recursive: true });
});

const root = join(import.meta.dirname, "..");
const commandIn = (env: NodeJS.ProcessEnv, name: string, ...args: string[]) =>
  spawnSync(process.execPath, [join(root, `scripts/commands/${name}.ts`), ...args], { env, encoding: "utf8" });
const command = (name: string, ...args: string[]) => commandIn(berth.env, name, ...args);

test("half a backup is none: a directory that somebody named and that has no data is told before anything is copied", () => {
  for (const name of ["BERTH_DATA_DIR", "BERTH_HOST_DATA_DIR"]) {
    const made = commandIn({ ...berth.env, [name]: "/var/lib/bearth" }, "backup", join(kept, name));
    expect([made.status, made.stdout]).toEqual([2, ""]);
    expect(made.stderr).toMatch(
      new RegExp(`^A (gateway|host) has no data in /var/lib/bearth: set ${name} to where it has`),
    );
    expect(existsSync(join(kept, name))).toBe(false);
  }
});

test("half a backup is told as one, a second host needs no agent, and what is restored stands beside no old log", () => {
  const dir = join(kept, "small");
  const env = { ...berth.env, BERTH_DATA_DIR: join(dir, "data"), BERTH_HOST_DATA_DIR: join(dir, "host") };
  mkdirSync(join(dir, "host/volumes/usr_1.img"), { recursive: true });
  mkdirSync(join(dir, "data/keys"), { recursive: true });
  for (const name of ["data/gateway.sqlite", "host/host.db"]) new Database(join(dir, name)).close();
  const [broken, whole] = [join(kept, "broken"), join(kept, "whole")];
  const failed = commandIn(env, "backup", broken);
  expect([failed.status, failed.stdout]).toEqual([2, ""]);
  expect(failed.stderr).toMatch(/usr_1\.img could not be copied: what is there now is no backup\./);
  expect(commandIn(env, "restore", broken).stderr).toContain("is half a backup");
  rmSync(join(dir, "host/volumes"), { recursive: true });
  mkdirSync(whole, { mode: 0o755 });
  expect(commandIn(env, "backup", whole)).toMatchObject({ status: 0, stderr: "" });
  expect(statSync(join(whole, "gateway.sqlite")).mode & 0o077).toBe(0);
  expect(readdirSync(whole).toSorted()).toEqual(["gateway.sqlite", "host", "keys"]);
  for (const name of ["data", "host"]) rmSync(join(dir, name), { recursive: true });
  mkdirSync(join(dir, "data"));
  writeFileSync(join(dir, "data/gateway.sqlite-wal"), "old");
  expect(commandIn(env, "restore", whole).stderr).toContain("gateway.sqlite-wal already: stop Berth");
  rmSync(join(dir, "data"), { recursive: true });
  expect(commandIn(env, "restore", whole).status).toBe(0);
});

test("a backup that is broken off lets a user's disk go, and one that somebody writes to is copied again", async () => {
  const agent = await alice.createAgent("writer", { runtime: "shell" });
  await alice.runToEnd(agent.id, "echo first > file");
  const userId = await userIdOf(alice);
  const bin = mkdtempSync(join(kept, "bin-"));
  /** A `cp` that does this before its work. */
  const copyingAfter = (first: string) => {
    writeFileSync(join(bin, "cp"), `#!/bin/sh\n${first}\nexec /bin/cp "$@"\n`, { mode: 0o755 });
    return { ...berth.env, PATH: `${bin}:${process.env["PATH"]}` };
  };
  // As Ctrl-C: whoever copies and the shell around it hear of it.
  const cut = commandIn(copyingAfter("kill -INT $PPID; exit 130"), "backup", join(kept, "cut"));
  expect([cut.status, cut.stdout]).toEqual([2, ""]);
  expect((await alice.runToEnd(agent.id, "echo second > file; cat file")).run.result).toBe("second\n");

  await alice.ok("POST", "/v1/workspace/stop");
  await berth.host.kill("SIGTERM");
  unmountBelow(berth.hostDir);
  const image = join(berth.hostDir, "volumes", `${userId}.img`);
  const once = join(kept, "once");
  const again = commandIn(copyingAfter(`[ -e ${once} ] || touch ${once} ${image}`), "backup", join(kept, "again"));
  expect([again.status, again.stderr]).toEqual([0, ""]);
  const always = commandIn(copyingAfter(`touch ${image}`), "backup", join(kept, "always"));
  expect(always.stderr).toContain(`${userId}.img could not be copied`);
  await berth.host.start();
  await alice.ok("DELETE", `/v1/agents/${agent.id}`);
});

test("a backup of a Berth that is at work brings back users, runs, files, variables and tokens", async () => {
  const agent = await alice.createAgent("worker", { runtime: "shell" });
  await alice.ok("PUT", `/v1/agents/${agent.id}/env`, { SECRET: "of the backup" });
  await alice.runToEnd(agent.id, "echo heron > notes.txt");
  const going = await alice.send(agent.id, "while :; do date >> log.txt; sleep 0.01; done");
  await alice.firstLine(
    (await alice.send((await alice.createAgent("other", { runtime: "shell" })).id, "echo up; sleep 60")).id,
  );

  const backup = join(kept, "first");
  const made = command("backup", backup);
  expect([made.status, made.stdout.trim(), made.stderr]).toEqual([0, backup, ""]);
  expect((await alice.run(going.id)).status).toBe("running");
  expect(command("backup", backup).stderr).toContain("name a directory that is empty");
  // What comes after it is not in it.
  await alice.createAgent("later");
  expect(command("restore", backup).stderr).toContain("stop Berth and move its data away");

  await alice.ok("POST", "/v1/workspace/stop");
  await Promise.all([berth.gateway.kill("SIGTERM"), berth.host.kill("SIGTERM")]);
  unmountBelow(berth.hostDir);
  execFileSync("chattr", ["-R", "-f", "-i", join(berth.hostDir, "mnt")]);
  for (const name of readdirSync(berth.dir).filter((entry) => entry !== "owner"))
    rmSync(join(berth.dir, name), { recursive: true });
  expect(command("restore", backup)).toMatchObject({ status: 0, stderr: "" });
  await berth.gateway.start();
  await berth.host.start();

  const { items: agents } = await alice.ok<{ items: { name: string }[] }>("GET", "/v1/agents");
  expect(agents.map(({ name }) => name)).toEqual(["worker", "other"]);
  // The run that was going when the copy was made is of a container that is gone.
  await until(async () => (await alice.run(going.id)).endedAt !== null, "the run that was going has ended");
  const { run } = await until(
    async () => alice.runToEnd(agent.id, 'cat notes.txt; echo "$SECRET"; tail -n 1 log.txt').catch(() => null),
    "a run starts",
  );
  expect(run).toMatchObject({
    status: "completed",
    result: expect.stringMatching(/^heron\nof the backup\n.*20\d\d\n$/),
  });
  const { items: found } = await alice.ok<{ items: Run[] }>("GET", "/v1/search?q=notes");
  expect(found.map(({ prompt }) => prompt)).toContain("echo heron > notes.txt");
});
