/** `npm start`: everything on this machine. Sets up what is missing, starts gateway and host agent, keeps them running, tells how to sign in. */
import type { Settings } from "@berth/shared/settings";
import { runGatewayCommand, startCluster } from "./cluster.ts";
import { runWithSettings } from "./command.ts";
import { prepareMachine } from "./machine.ts";

await runWithSettings(start);

async function start(settings: Settings): Promise<number> {
  const stop = Promise.withResolvers<number>();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => stop.resolve(0));
  await prepareMachine(settings);
  const tell = (line: string) => process.stderr.write(`${line}\n`);
  const cluster = await startCluster(settings, process.env, tell);
  await printSummary(settings);
  const code = await Promise.race([stop.promise, cluster.ended]);
  // Runs in progress go on without either process; the next start finds them.
  await cluster.close();
  return code;
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
