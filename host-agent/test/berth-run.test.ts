import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";

const uid = 29_999;
const home = "/workspace/agent-a";
const docker = new Docker();
let root: string;
let container: Docker.Container;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "berth-run-"));
  execFileSync("truncate", ["-s", "64M", join(root, "disk")]);
  execFileSync("mkfs.ext4", ["-q", "-F", "-m", "0", join(root, "disk")]);
  mkdirSync(join(root, "volume"));
  execFileSync("mount", ["-o", "loop", join(root, "disk"), join(root, "volume")]);
  for (const name of ["workspace", "runs", "workspace/agent-a"]) mkdirSync(join(root, "volume", name), { mode: 0o711 });
  chownSync(join(root, "volume/workspace/agent-a"), uid, 19_001);
  const bind = (source: string, target: string) => ({
    Type: "bind" as const,
    Source: join(root, source),
    Target: target,
  });
  container = await docker.createContainer({
    Image: process.env["BERTH_IMAGE"] ?? "berth-workspace",
    HostConfig: {
      Init: true,
      NetworkMode: "none",
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
      PidsLimit: 200,
      Mounts: [bind("volume/workspace", "/workspace"), bind("volume/runs", "/run/berth-runs")],
    },
  });
  await container.start();
});

afterAll(async () => {
  await container.remove({ force: true });
  execFileSync("umount", [join(root, "volume")]);
  rmSync(root, { recursive: true });
});

let count = 0;

/** Makes the files of a run as the host agent does; answers its directory on the host. */
function makeRun({ prompt = "", env }: { prompt?: string; env?: string }): string {
  const dir = join(root, "volume/runs", `r${++count}`);
  mkdirSync(dir, { mode: 0o711 });
  const make = (name: string, content: string, mode: number) => {
    writeFileSync(join(dir, name), content, { mode, flush: true });
    chownSync(join(dir, name), uid, 0);
  };
  make("prompt", prompt, 0o400);
  if (env !== undefined) make("env", env, 0o400);
  for (const name of ["out", "err"]) make(name, "", 0o600);
  make("exit", "\n", 0o600);
  execFileSync("chattr", ["+a", ...["out", "err", "exit"].map((name) => join(dir, name))]);
  return dir;
}

/** The run's directory as the container sees it. */
const inside = (dir: string) => dir.replace(join(root, "volume/runs"), "/run/berth-runs");

/** Starts the script on a run as the agent, for its prompt as a script if no command is named; answers once its exit code is written. */
async function execute(dir: string, command?: string[], extraEnv: string[] = []): Promise<string> {
  await start(dir, command, extraEnv);
  await vi.waitFor(() => expect(read(dir, "exit")).toMatch(/^\n(begun\n)?\d+\n$/), { timeout: 100_000, interval: 20 });
  return read(dir, "exit").trim().split("\n").at(-1)!;
}

async function start(dir: string, command?: string[], extraEnv: string[] = []): Promise<Docker.Exec> {
  const exec = await container.exec({
    Cmd: ["/opt/berth/bin/berth-run", inside(dir), ...(command ?? ["bash", `${inside(dir)}/prompt`])],
    User: `${uid}:19001`,
    WorkingDir: home,
    Env: [`HOME=${home}`, `TMPDIR=${home}/.berth/tmp`, ...extraEnv],
  });
  (await exec.start({ Detach: true })).resume();
  return exec;
}

const read = (dir: string, name: string) => readFileSync(join(dir, name), "utf8");
const inHome = (name: string) => join(root, "volume/workspace/agent-a", name);

describe("berth-run", () => {
  test("runs a script as the agent and writes output, errors and the exit code to their files", async () => {
    const dir = makeRun({ prompt: "id -u; pwd; cat; echo bad >&2; exit 7" });
    expect(await execute(dir)).toBe("7");
    expect(read(dir, "out")).toBe(`${uid}\n${home}\n`);
    expect(read(dir, "err")).toBe("bad\n");
  });

  test("starts the command with default signals, no core dumps and the limit of processes", async () => {
    const dir = makeRun({
      prompt: "grep SigIgn /proc/self/status; ulimit -c; ulimit -u",
    });
    expect(await execute(dir, undefined, ["BERTH_NPROC=123"])).toBe("0");
    expect(read(dir, "out").split(/\s+/)).toEqual(["SigIgn:", "0000000000000000", "0", "123", ""]);
  });

  test("writes the agent's environment into Berth's own place, for its eyes only, and touches no .env", async () => {
    writeFileSync(inHome(".env"), "MINE=1\n");
    await execute(makeRun({ env: "A=1\n" }));
    expect(readFileSync(inHome(".berth/env"), "utf8")).toBe("A=1\n");
    expect(statSync(inHome(".berth/env")).mode & 0o777).toBe(0o600);
    await execute(makeRun({ env: "B=2\n" }));
    expect(readFileSync(inHome(".berth/env"), "utf8")).toBe("B=2\n");
    await execute(makeRun({ env: "" }));
    expect(existsSync(inHome(".berth/env"))).toBe(false);
    expect(readFileSync(inHome(".env"), "utf8")).toBe("MINE=1\n");
    rmSync(inHome(".env"));
  });

  test.each([
    ["a file", () => writeFileSync(inHome(".berth"), "")],
    ["a link to nowhere", () => symlinkSync("/nowhere/at/all", inHome(".berth"))],
    ["a link to what is another's", () => symlinkSync("/usr", inHome(".berth"))],
    ["a locked directory", () => mkdirSync(inHome(".berth"), { mode: 0o000 })],
  ])("mends its own place when it is %s, and says so", async (_, damage) => {
    rmSync(inHome(".berth"), { recursive: true, force: true });
    damage();
    lchownSync(inHome(".berth"), uid, uid);
    const dir = makeRun({ env: "A=1\n", prompt: "echo on; touch $TMPDIR/x" });
    expect(await execute(dir)).toBe("0");
    expect(read(dir, "out")).toBe("on\n");
    expect(read(dir, "err")).toMatch(/^Berth: .*\.berth .*\.\n$/);
    expect(readFileSync(inHome(".berth/env"), "utf8")).toBe("A=1\n");
  });

  test("keeps in TMPDIR what the run before used, and nothing older", async () => {
    const look = async (prompt: string) => {
      const dir = makeRun({ prompt: `${prompt}; ls -A $TMPDIR` });
      await execute(dir);
      return read(dir, "out").split("\n").slice(0, -1);
    };
    await look("rm -rf $TMPDIR/*");
    expect(await look("touch $TMPDIR/.a; mkdir -p $TMPDIR/b/deep")).toEqual([".a", "b"]);
    expect(await look("touch $TMPDIR/b/deep/used")).toEqual([".a", "b"]);
    expect(await look(":")).toEqual(["b"]);
    expect(await look(":")).toEqual([]);
  });

  test("needs no PATH of the agent's", async () => {
    const dir = makeRun({ prompt: "echo $PATH; echo on" });
    expect(await execute(dir, ["/bin/bash", `${inside(dir)}/prompt`], ["PATH=/nowhere"])).toBe("0");
    expect(read(dir, "out")).toBe("/nowhere\non\n");
  });

  test("has no names of its own among the agent's variables, whatever these are called", async () => {
    const names = ["run", "path", "code", "trace", "last", "entry", "fresh", "out", "IFS"];
    const dir = makeRun({ prompt: names.map((name) => `printenv ${name}`).join("\n") });
    const odd = ["last=two\nlines", "POSIXLY_CORRECT=1", "UID=5"];
    await execute(dir, ["/bin/sh", `${inside(dir)}/prompt`], [...names.map((name) => `${name}=mine`), ...odd]);
    expect([read(dir, "err"), read(dir, "out").replace("two\nlines", "mine")]).toEqual([
      "",
      "mine\n".repeat(8) + " \t\n\n",
    ]);
  });

  test.each([
    ["1 MiB", `# ${"x".repeat(2 ** 20)}\necho whole`, "whole\n"],
    ["quotes, emoji and backslashes", `echo '"\\n😀'`, '"\\n😀\n'],
    ["what looks like an option", "--version || echo script", "script\n"],
  ])("takes a prompt of %s as it is", async (_, prompt, out) => {
    const dir = makeRun({ prompt });
    await execute(dir);
    expect(read(dir, "out")).toBe(out);
  });

  test("passes its further arguments to the CLI", async () => {
    const dir = makeRun({ prompt: "--help" });
    expect(await execute(dir, ["claude", "--version"])).toBe("0");
    expect(read(dir, "out")).toContain("Claude Code");
  });

  test("outlives a TERM to its whole group and writes the code of the child that did not", async () => {
    const dir = makeRun({ prompt: "echo up; sleep 60" });
    const exec = await start(dir);
    await vi.waitFor(() => expect(read(dir, "out")).toBe("up\n"), 100_000);
    process.kill(-(await exec.inspect()).Pid, "SIGTERM");
    await vi.waitFor(() => expect(read(dir, "exit")).toBe("\nbegun\n143\n"), 100_000);
    expect(read(dir, "err")).toBe("");
  });

  test("goes on waiting when signals reach it alone", async () => {
    const dir = makeRun({ prompt: "echo up; read -r _ <go; exit 5" });
    execFileSync("mkfifo", ["-m", "666", inHome("go")]);
    const exec = await start(dir);
    await vi.waitFor(() => expect(read(dir, "out")).toBe("up\n"), 100_000);
    const { Pid } = await exec.inspect();
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"] as const) process.kill(Pid, signal);
    writeFileSync(inHome("go"), "go\n");
    await vi.waitFor(() => expect(read(dir, "exit")).toBe("\nbegun\n5\n"), 100_000);
  });

  test("writes 137 when the child was killed, and nothing of its own into the run's errors", async () => {
    const dir = makeRun({ prompt: "kill -KILL $$" });
    expect(await execute(dir)).toBe("137");
    expect(read(dir, "err")).toBe("");
  });

  test("refuses a command that the image does not have", async () => {
    const dir = makeRun({});
    expect(await execute(dir, ["cobol"])).toBe("127");
    expect(read(dir, "err")).toContain("cobol");
  });

  test("ends with 126 when the output cannot be opened", async () => {
    const dir = makeRun({ prompt: "touch ran" });
    execFileSync("chattr", ["-a", join(dir, "out")]);
    chmodSync(join(dir, "out"), 0o000);
    expect(await execute(dir)).toBe("126");
    expect(() => statSync(inHome("ran"))).toThrow("ENOENT");
  });

  test("writes the exit code on a full disk", async () => {
    const dir = makeRun({ prompt: "cat /dev/zero >fill; exit 9" });
    const second = makeRun({ prompt: "exit 8" });
    expect(await execute(dir)).toBe("9");
    expect(read(dir, "err")).toContain("No space left");
    expect(await execute(second)).toBe("8");
    rmSync(inHome("fill"));
  });
});
