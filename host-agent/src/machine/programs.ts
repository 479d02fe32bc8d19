/**
 * Runs the machine's own programs (mount, mkfs.ext4 …) through one small helper beside this process. Node forks itself for
 * each, which copies its page tables and stalls everything in it for that long; the helper is small and waits.
 */
import { spawn } from "node:child_process";
import type { Socket } from "node:net";
import { createInterface } from "node:readline";
import type { Writable } from "node:stream";
import { withDeadline } from "@berth/shared/wait";
import { MachineError } from "./machine-error.ts";
import { script } from "./programs-helper.ts";

/** A program that ended with another exit code than 0; the message is what it said. */
export class ProgramError extends MachineError {
  readonly exitCode: number;

  constructor(program: string, exitCode: number, said: string) {
    super(`${program} ended with ${exitCode}: ${said || "it said nothing"}`);
    this.exitCode = exitCode;
  }
}

interface Job {
  program: string;
  resolve(said: string): void;
  reject(error: Error): void;
}
/** `named`: what errors call it. */
type Run = (program: string, args: string[], named?: string) => Promise<string>;

let run: Run | null = null;

const deadlineMs = 60_000;
/** For what may go through a whole file system. */
const longDeadlineMs = 3_600_000;
const longPrograms = new Set(["e2fsck", "resize2fs", "tune2fs", "e2image", "rm"]);

/**
 * What the program said, on one line, once it has ended with 0; several run beside each other, and one that hangs is given
 * up. Throws a ProgramError, or what kept it from its end.
 */
export function runProgram(program: string, ...args: string[]): Promise<string> {
  return runWithin(longPrograms.has(program) ? longDeadlineMs : deadlineMs, program, ...args);
}

/**
 * As `runProgram`, with a deadline in milliseconds. What goes through a file system is killed then: what takes its place must
 * not meet it. Another that is given up may end later: whoever cares looks at what it did.
 */
export async function runWithin(ms: number, program: string, ...args: string[]): Promise<string> {
  run ??= startHelper(() => (run = null));
  const job = longPrograms.has(program)
    ? run("timeout", ["-s", "KILL", String(ms / 1000), program, ...args], program)
    : run(program, args);
  const tellLate = () => new MachineError(`${program} has not ended in ${ms / 1000} s: see whether the disk hangs`);
  return withDeadline(ms, () => job, tellLate);
}

/** The number of the system call. */
const fallocate = process.arch === "x64" ? "285" : "47";

/** It ends when this process does, for its input ends then; what it had begun goes on. */
function startHelper(onEnd: () => void): Run {
  const jobs = new Map<number, Job>();
  let count = 0;
  // A session of its own: Ctrl-C at a terminal is for the host agent alone, which still needs it.
  const helper = spawn("perl", ["-", fallocate], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { PATH: process.env["PATH"], LC_ALL: "C" },
    cwd: "/",
    detached: true,
  });
  // Where no descriptor was left there are no pipes; the error says so.
  if (!(helper.stdin as Writable | undefined)) {
    helper.once("error", onEnd);
    return () => new Promise((_, reject) => helper.once("error", reject));
  }
  const output = helper.stdout as Socket;
  const fail = (error: Error) => {
    for (const { reject } of jobs.values()) reject(error);
    jobs.clear();
  };
  helper.once("error", fail).once("error", onEnd).once("exit", onEnd);
  // What had begun goes on when the helper is killed, and answers: only then is the output closed.
  helper.once("close", (code, signal) =>
    fail(new MachineError(`the helper for programs ended with ${signal ?? code}`)),
  );
  helper.stdin.on("error", () => undefined);
  helper.stdin.write(script);
  // Only a job that is under way keeps this process alive.
  for (const handle of [helper, helper.stdin as unknown as Socket, output]) handle.unref();
  createInterface({ input: output }).on("line", (line) => {
    const [, id, code, said = ""] = /^(\d+) (\d+) (.*)$/.exec(line) ?? [];
    const job = jobs.get(Number(id));
    jobs.delete(Number(id));
    if (jobs.size === 0) output.unref();
    if (code === "0") job?.resolve(said);
    else job?.reject(new ProgramError(job.program, Number(code), said));
  });
  return (program, args, named = program) =>
    new Promise((resolve, reject) => {
      const id = ++count;
      jobs.set(id, { program: named, resolve, reject });
      output.ref();
      helper.stdin.write(`${[String(id), program, ...args].map(encodeURIComponent).join(" ")}\n`);
    });
}
