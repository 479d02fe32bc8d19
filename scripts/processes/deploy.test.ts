import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { root } from "../setup/image.ts";

const read = (name: string) => readFileSync(join(root, "deploy", name), "utf8");

describe("after a reboot everything comes back", () => {
  test.each(["compose.gateway.yaml", "compose.host.yaml"])("under Compose, by %s", (name) => {
    expect(read(name).match(/^ {4}restart: .*$/gm)).toEqual(["    restart: unless-stopped"]);
  });
  test.each(["berth-gateway.service", "berth-host.service"])("under systemd, by %s", (name) => {
    expect(read(name)).toMatch(/^Restart=always$/m);
    expect(read(name)).toMatch(/^WantedBy=multi-user.target$/m);
  });
});

/** The host's command of Compose, with an `npm` that does what a test says. */
describe("the host agent under Compose", () => {
  let bin: string;
  let child: ChildProcess;
  beforeEach(() => void (bin = mkdtempSync(join(tmpdir(), "berth-compose-"))));
  afterEach(() => {
    child.kill("SIGKILL");
    rmSync(bin, { recursive: true });
  });
  const start = (npm: string) => {
    writeFileSync(join(bin, "npm"), `#!/bin/sh\n${npm}\n`);
    chmodSync(join(bin, "npm"), 0o755);
    const [, block = ""] = /- \|\n((?: {8}.*\n)+)/.exec(read("compose.host.yaml")) ?? [];
    const script = block.replaceAll(/^ {8}/gm, "").replaceAll("$$", "$");
    child = spawn("sh", ["-c", script], { env: { PATH: `${bin}:${process.env["PATH"]}` }, stdio: "pipe" });
    return child;
  };

  test("is started again with the code it ended with", async () => {
    expect(await once(start("exit 1"), "close")).toEqual([1, null]);
  });
  test("stays idle where a person must act, and says so", async () => {
    const [said] = (await once(start("exit 2").stderr!, "data")) as [Buffer];
    expect(said.toString()).toMatch(/^Nothing runs until .*\n$/);
    expect(child.exitCode).toBeNull();
  });
  test("gets the signal that stops the service, and has the time to end", async () => {
    start("trap 'echo ended; exit 0' TERM; echo up; while :; do sleep 0.05; done");
    await once(child.stdout!, "data");
    child.kill("SIGTERM");
    const [said] = (await once(child.stdout!, "data")) as [Buffer];
    expect(said.toString()).toBe("ended\n");
    expect(await once(child, "close")).toEqual([0, null]);
  });
});
