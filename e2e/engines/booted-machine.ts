/**
 * A machine with a real systemd as its first process: it boots, is asked to reboot, and loses its power. Its engine is Debian's
 * `docker.service`; what is installed in it, is as on any machine. `close` and `sweepBooted` remove every trace.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { closeSync, cpSync, existsSync, globSync, mkdirSync, mkdtempSync } from "node:fs";
import { openSync, readFileSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { root as tree } from "../../scripts/setup/image.ts";
import { until } from "../../gateway/test/wait.ts";
import { copyImageStore } from "./private-engine.ts";
import { commandOf, groupsOf, isAlive } from "../harness/processes.ts";

export interface BootedMachine {
  /** Its disk: what is there after a boot. */
  disk: string;
  /** Where this machine reaches it. */
  address: string;
  /** Answers when systemd takes orders; its units may start still. */
  boot(): Promise<void>;
  /** Its network comes up: `address` is there. */
  plugIn(): void;
  /** As its operator would, `systemctl reboot`: answers when it is down. */
  shutDown(): Promise<void>;
  /** The power goes: every process ends at once. */
  powerOff(): Promise<void>;
  /** Runs a script in it as root, in /opt/berth; answers what it printed, throws where it fails. */
  run(script: string): string;
  /** What its units said in all its boots. */
  log(): string;
  close(): Promise<void>;
}

const prefix = "berth-booted-";
/** Units of hardware that is not the machine's own: it would set up that of this one. */
const masked = [
  "systemd-udevd.service",
  "systemd-udev-trigger.service",
  "systemd-modules-load.service",
  "systemd-tmpfiles-setup-dev.service",
  "systemd-timesyncd.service",
  "systemd-logind.service",
  "modprobe@.service",
  "sys-kernel-debug.mount",
  "sys-kernel-tracing.mount",
  "sys-kernel-config.mount",
  "sys-fs-fuse-connections.mount",
  "dev-hugepages.mount",
  "dev-mqueue.mount",
  "getty.target",
];

/** A machine that has the image, an engine that starts with it, and has not been booted. */
export async function makeMachine(image: string): Promise<BootedMachine> {
  const dir = mkdtempSync(join(tmpdir(), prefix));
  writeFileSync(join(dir, "owner"), String(process.pid));
  const disk = join(dir, "root");
  for (const name of [
    "proc",
    "sys",
    "dev",
    "run",
    "usr",
    "old",
    "opt/berth",
    "root",
    "tmp",
    "var/lib",
    "var/log/journal",
  ])
    mkdirSync(join(disk, name), { recursive: true });
  for (const name of ["tree", "work"]) mkdirSync(join(dir, name));
  for (const name of ["bin", "sbin", "lib", "lib64"]) symlinkSync(readlinkSync(`/${name}`), join(disk, name));
  cpSync("/etc", join(disk, "etc"), {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !/^\/etc\/(systemd|fstab|docker|cron|init\.d|rc.\.d)/.test(path),
  });
  setUpUnits(join(disk, "etc"));
  await copyImageStore(image, join(disk, "var/lib/docker"));
  return openMachine(dir, disk);
}

function setUpUnits(etc: string): void {
  const units = join(etc, "systemd/system");
  mkdirSync(join(units, "multi-user.target.wants"), { recursive: true });
  mkdirSync(join(etc, "systemd/journald.conf.d"));
  mkdirSync(join(etc, "docker"));
  for (const name of masked) symlinkSync("/dev/null", join(units, name));
  symlinkSync("/lib/systemd/system/multi-user.target", join(units, "default.target"));
  symlinkSync("/lib/systemd/system/docker.service", join(units, "multi-user.target.wants/docker.service"));
  writeFileSync(join(etc, "systemd/journald.conf.d/own.conf"), "[Journal]\nStorage=persistent\nReadKMsg=no\n");
  // As set-up writes it where it installs the engine.
  writeFileSync(join(etc, "docker/daemon.json"), '{ "live-restore": true }');
}

function openMachine(dir: string, disk: string): BootedMachine {
  const group = basename(dir);
  const subnet = `10.${200 + (process.pid % 50)}.${(process.pid >> 3) % 250}`;
  let outside: ChildProcess | null = null;
  let init = 0;
  let links = 0;
  const inside = (...args: string[]) => ["-t", String(init), "-a", ...args];
  const run = (script: string) =>
    execFileSync("nsenter", inside("sh", "-ec", `cd /opt/berth; ${script}`), {
      encoding: "utf8",
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" },
      timeout: 120_000,
    }).trim();
  const isDown = async () => {
    await until(() => !isAlive(init), "the machine is down");
    // The kernel lets go of a mounted file a moment after the last process.
    const files = globSync(["*.img", "var/lib/berth/host/volumes/*.img"], { cwd: disk });
    const isHeld = (file: string) => spawnSync("losetup", ["-j", join(disk, file)], { encoding: "utf8" }).stdout !== "";
    await until(() => !files.some(isHeld), "its volumes are let go");
  };
  return {
    disk,
    address: `${subnet}.2`,
    run,
    async boot() {
      const bootId = join(dir, "boot-id");
      writeFileSync(bootId, `${randomUUID()}\n`);
      const log = openSync(join(dir, "console.log"), "a");
      outside = spawn("sh", [join(import.meta.dirname, "boot.sh"), disk, group, bootId, tree, "outside"], {
        stdio: ["ignore", log, log],
      });
      closeSync(log);
      const { pid } = outside;
      init = await until(() => initOf(pid!), "the machine has a first process");
      await until(() => existsSync(`/proc/${init}/root/run/systemd/private`), "systemd takes orders").catch(
        (error: Error) => {
          throw new Error(`${error.message}: ${readFileSync(join(dir, "console.log"), "utf8")}`);
        },
      );
    },
    plugIn: () => plugIn(`bb${(process.pid % 46_656).toString(36)}-${++links}`, init, subnet),
    async shutDown() {
      spawnSync("nsenter", inside("systemctl", "reboot"));
      await isDown();
    },
    async powerOff() {
      process.kill(init, "SIGKILL");
      await isDown();
    },
    log: () =>
      spawnSync(
        "journalctl",
        [
          "--no-pager",
          "-o",
          "short-precise",
          "-D",
          join(disk, "var/log/journal"),
          "-u",
          "berth-gateway",
          "-u",
          "berth-host",
          "-u",
          "docker",
        ],
        { encoding: "utf8" },
      ).stdout,
    async close() {
      if (isAlive(init)) process.kill(init, "SIGKILL");
      await isDown();
      await remove(dir);
    },
  };
}

/** The child of `unshare` that has become systemd; 0 before. Those of the script that becomes `unshare` come and go. */
function initOf(outside: number): number {
  const children = readFileSync(`/proc/${outside}/task/${outside}/children`, "utf8").trim().split(" ").map(Number);
  return children.find((pid) => commandOf(pid).startsWith("/lib/systemd/systemd")) ?? 0;
}

/** A link from this machine; it goes with the machine's network at its end. */
function plugIn(link: string, init: number, subnet: string): void {
  const ip = (...args: string[]) => execFileSync("ip", args);
  const within = (...args: string[]) => execFileSync("nsenter", ["-t", String(init), "-n", "ip", ...args]);
  ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", String(init));
  ip("addr", "add", `${subnet}.1/30`, "dev", link);
  ip("link", "set", link, "up");
  within("addr", "add", `${subnet}.2/30`, "dev", "eth0");
  within("link", "set", "eth0", "up");
}

/** Removes what test runs left that were killed. */
export async function sweepBooted(): Promise<void> {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(prefix))) {
    const dir = join(tmpdir(), name);
    if (!isAlive(Number(readFileSync(join(dir, "owner"), "utf8")))) await remove(dir);
  }
}

async function remove(dir: string): Promise<void> {
  for (const group of groupsOf(basename(dir))) {
    spawnSync("sh", ["-c", `find ${group} -name cgroup.procs -exec cat {} + | xargs -r kill -KILL`]);
    await until(() => {
      spawnSync("find", [group, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"], { stdio: "ignore" });
      return !existsSync(group);
    }, `${group} is gone`);
  }
  const mounts = join(dir, "root/var/lib/berth/host/mnt");
  if (existsSync(mounts)) execFileSync("chattr", ["-R", "-i", mounts]);
  rmSync(dir, { recursive: true, force: true });
}
