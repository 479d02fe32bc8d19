/** The one real gateway: its bundle as a child of this process, and what that takes of the machine. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { once } from "node:events";
import { join } from "node:path";
import { until } from "../../gateway/test/wait.ts";
import { bundle, nodeFlags } from "../../scripts/build/bundle.ts";
import { askChild } from "./parent.ts";

export interface Delay {
  p50: number;
  p99: number;
  max: number;
}

export async function createGateway(dir: string, port: number, env: Record<string, string>) {
  const { gateway: file } = await bundle("gateway");
  let child: ChildProcess;
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    env,
    async start(): Promise<void> {
      const out = openSync(join(dir, "gateway.log"), "a");
      const probe = join(import.meta.dirname, "probe.mjs");
      child = spawn(process.execPath, [...nodeFlags, "--import", probe, ...profile(), file], {
        env,
        stdio: ["ignore", out, out, "ipc"],
      });
      closeSync(out);
      await until(
        () => {
          if (child.exitCode !== null)
            throw new Error(`the gateway ended: ${readFileSync(join(dir, "gateway.log"), "utf8").slice(-2000)}`);
          return fetch(`${url}/healthz`).then(
            ({ ok }) => ok,
            () => false,
          );
        },
        "the gateway answers",
        60_000,
      );
    },
    async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
      const gone = once(child, "exit");
      child.kill(signal);
      await gone;
    },
    /** Seconds of CPU since it started, of all its threads. */
    cpuSeconds: () => cpuSeconds(child.pid!),
    memoryBytes: () => Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))![1]) * 1024,
    /** How long its event loop was held since the last question, in milliseconds. */
    delay: () => askChild(child)<Delay>("delay"),
  };
}

/** `SCALE_PROFILE=DIR` has V8 write its profile there when the gateway ends. */
function profile(): string[] {
  const dir = process.env["SCALE_PROFILE"];
  return dir ? ["--cpu-prof", `--cpu-prof-dir=${dir}`] : [];
}

/** Of user and system, in ticks of 10 ms. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
