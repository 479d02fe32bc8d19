/** `npm start`: everything on this machine. Sets up what is missing, starts gateway and host agent, keeps them running, tells how to sign in. */
import { once } from "node:events";
import type { Settings } from "@berth/shared/settings";
import { runGatewayCommand, startCluster } from "../processes/cluster.ts";
import { runWithSettings } from "./command.ts";
import { prepareMachine } from "../setup/machine.ts";

await runWithSettings(start);

async function start(settings: Settings): Promise<number> {
  const stop = new AbortController();
  const stopped = once(stop.signal, "abort");
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => stop.abort());
  const prepared = await Promise.race([prepareMachine(settings), stopped.then(() => null)]);
  // Whatever set-up was doing is taken up again by the next one.
  if (!prepared) process.exit(0);
  try {
    const cluster = await startCluster({ settings, env: process.env, tell, signal: stop.signal });
    await printSummary(settings);
    const code = await Promise.race([stopped.then(() => 0), cluster.ended]);
    // Runs in progress go on without either process; the next start finds them.
    await cluster.close();
    return code;
  } catch (error) {
    if (stop.signal.aborted) return 0;
    throw error;
  }
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function printSummary(settings: Settings): Promise<void> {
  const link = await runGatewayCommand(process.env, "link", "admin", "--admin");
  const isDemo = !settings.ANTHROPIC_API_KEY && !settings.BERTH_MODEL_URL;
  const lines = [
    `Berth is at ${settings.BERTH_PUBLIC_URL}`,
    `Sign in as admin (once, within 10 minutes): ${link}`,
    ...(isDemo ? ["The built-in demo model answers: set ANTHROPIC_API_KEY or BERTH_MODEL_URL for a real one."] : []),
    "ready",
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}
