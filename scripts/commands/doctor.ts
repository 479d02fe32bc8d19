/** `npm run doctor`: proves the whole path, from the engine to the model, by really running a run; a line for each part, a sentence for what is wrong. */
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "@berth/shared/node/free-port";
import { parseSettings, type Settings } from "@berth/shared/settings";
import { localUrl, runGatewayCommand, startCluster, type Cluster } from "../processes/cluster.ts";
import { runWithSettings } from "../setup/command.ts";
import { isRoot } from "../setup/debian.ts";
import { ensureEngine } from "../setup/engine.ts";
import { pidIn } from "../processes/own-process.ts";
import { ensureImage, tellOlder } from "../setup/image.ts";
import { tryRun } from "./try-run.ts";

await runWithSettings(examine);

async function examine(settings: Settings): Promise<number> {
  if (!isRoot()) return tell("The doctor needs root, as the host agent does: run it as root.");
  let own: Cluster | null = null;
  const words: string[] = [];
  // A user of its own, who is gone with it: an admin sees people alone.
  const user = `doctor-${Date.now()}`;
  let forget = async () => {};
  try {
    const docker = await check("engine", () => ensureEngine(settings.DOCKER_HOST));
    await check("image", async () =>
      expectNewest(settings.BERTH_IMAGE, await ensureImage({ docker, name: settings.BERTH_IMAGE })),
    );
    const { env, isRunning } = await check("settings", () => chooseEnvironment(settings));
    const token = await check("database", () => runGatewayCommand(env, "token", user, "--ttl", "15m"));
    forget = async () => void (await runGatewayCommand(env, "delete-user", user));
    if (!isRunning)
      own = await check("gateway and host", () =>
        startCluster({ settings: parseSettings(env), env, tell: (line) => words.push(line) }),
      );
    const url = localUrl(parseSettings(env));
    await check("gateway", () =>
      expectOk(`${url}/healthz`, "The gateway does not answer: see logs/gateway.log in BERTH_DATA_DIR."),
    );
    await check("host", () => expectOk(`${url}/readyz`, "No host is live: see logs/host.log in BERTH_DATA_DIR."));
    await check("model", () => expectModel(settings));
    await check(`run with ${modelName(settings)}`, () => tryRun(url, token));
    process.stdout.write(own ? "All is well, and Berth does not run now: start it.\n" : "All is well.\n");
    return 0;
  } catch (error) {
    return tell([...words, error instanceof Error ? error.message : String(error)].filter(Boolean).join("\n"));
  } finally {
    await forget();
    await own?.close();
  }
}

function expectNewest(name: string, found: Awaited<ReturnType<typeof ensureImage>>): void {
  if (found === "older") throw new Error(tellOlder(name));
}

function tell(words: string): number {
  process.stdout.write(`${words}\n`);
  return 1;
}

async function check<T>(name: string, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const line = (mark: string) => `${mark} ${name} (${Math.round(performance.now() - startedAt)} ms)\n`;
  try {
    const result = await work();
    process.stdout.write(line("✓"));
    return result;
  } catch (error) {
    process.stdout.write(line("✗"));
    throw error;
  }
}

/** The running gateway's own address, or free ports for a pair of our own on the same data. */
async function chooseEnvironment(settings: Settings): Promise<{ env: NodeJS.ProcessEnv; isRunning: boolean }> {
  const gateway = pidIn(settings.BERTH_DATA_DIR, "gateway.pid");
  const host = pidIn(settings.BERTH_HOST_DATA_DIR, "host.pid");
  if (gateway && host) return { env: process.env, isRunning: true };
  if (gateway)
    throw new Error(
      "The gateway runs without a host agent on this machine: start that with npm run host (or see journalctl -u berth-host), or use npm start.",
    );
  if (host)
    throw new Error("The host agent runs without its gateway: start it with npm run gateway, or use npm start.");
  const [port, hostPort] = [await freePort(), await freePort()];
  const env = {
    ...process.env,
    BERTH_PORT: String(port),
    BERTH_HOST_PORT: String(hostPort),
    BERTH_LISTEN: "127.0.0.1",
    BERTH_HOST_LISTEN: "127.0.0.1",
    BERTH_HOST_URL: `http://127.0.0.1:${hostPort}`,
    BERTH_GATEWAY_URL: `http://127.0.0.1:${port}`,
    BERTH_PUBLIC_URL: settings.BERTH_PUBLIC_URL,
  };
  return { env, isRunning: false };
}

/** Tries for 20 s: a host that was away may need its next report. */
async function expectOk(url: string, sentence: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const answer = await fetch(url, { signal: AbortSignal.timeout(5000) }).catch(() => null);
    if (answer?.ok) return;
    if (Date.now() > deadline) throw new Error(sentence);
    await sleep(250);
  }
}

/** Any answer will do: whether it takes the key is for the run to show. A CLI that hears nothing tries for minutes. */
async function expectModel({ ANTHROPIC_API_KEY: key, BERTH_MODEL_URL: url }: Settings): Promise<void> {
  const address = url ?? (key && "https://api.anthropic.com");
  if (!address) return;
  const answer = await fetch(address, { method: "HEAD", signal: AbortSignal.timeout(10_000) }).catch(() => null);
  if (!answer)
    throw new Error(
      `Nothing answers at the model's address ${address}: check BERTH_MODEL_URL and this machine's network.`,
    );
}

function modelName({ ANTHROPIC_API_KEY: key, BERTH_MODEL_URL: url }: Settings): string {
  return url ? `the model at ${url}` : key ? "the model of ANTHROPIC_API_KEY" : "the built-in demo model";
}
