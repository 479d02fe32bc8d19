/** Gateway and host agent of this machine until a signal comes: sets up what is missing, keeps both running, tells how to sign in. */
import { once } from "node:events";
import { hostname } from "node:os";
import type { Settings } from "@berth/shared/settings";
import { prepareMachine } from "../setup/machine.ts";
import { runGatewayCommand, startCluster, type Cluster, type ClusterFiles } from "./cluster.ts";

interface ServeOptions {
  settings: Settings;
  /** The environment of both processes. */
  env: NodeJS.ProcessEnv;
  /** What they run; their bundles without it. */
  files?: ClusterFiles;
  /** Both serve; what else belongs to it starts now. */
  onReady?(cluster: Cluster): Promise<void>;
}

/** Serves until SIGTERM, SIGINT or SIGHUP (0), or until one of the two ends for good (its exit code). Throws a SetupError. */
export async function serve({ settings, env, files, onReady }: ServeOptions): Promise<number> {
  const stop = new AbortController();
  const stopped = once(stop.signal, "abort");
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => stop.abort());
  const prepared = await Promise.race([prepareMachine(settings), stopped.then(() => null)]);
  // Whatever set-up was doing is taken up again by the next one.
  if (!prepared) process.exit(0);
  try {
    const link = Promise.withResolvers<string>();
    link.promise.catch(() => undefined);
    const onGateway = () => runGatewayCommand(env, "link", "admin", "--admin").then(link.resolve, link.reject);
    const cluster = await startCluster({
      settings,
      env,
      tell,
      signal: stop.signal,
      onGateway,
      ...(files && { files }),
    });
    await onReady?.(cluster);
    printSummary(settings, await link.promise);
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

function printSummary(settings: Settings, link: string): void {
  const isDemo = !settings.ANTHROPIC_API_KEY && !settings.BERTH_MODEL_URL;
  const lines = [
    `Berth is at ${settings.BERTH_PUBLIC_URL}`,
    `Sign in as admin (once, within 10 minutes): ${link}`,
    ...tellWayIn(settings),
    ...(isDemo ? ["The built-in demo model answers: set ANTHROPIC_API_KEY or BERTH_MODEL_URL for a real one."] : []),
    "ready",
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}

/** How another machine reaches it, where it is for this one alone. */
function tellWayIn({ BERTH_PUBLIC_URL, BERTH_PORT }: Settings): string[] {
  const { hostname: name, protocol } = new URL(BERTH_PUBLIC_URL);
  if (protocol === "https:" || !["localhost", "127.0.0.1", "[::1]"].includes(name)) return [];
  const tunnel = `ssh -L ${BERTH_PORT}:127.0.0.1:${BERTH_PORT} ${hostname()}`;
  return [`From another machine: ${tunnel}, then the same link; for good: docs/internet.md`];
}
