/**
 * `npm run dev [-- PORT]`: gateway and host agent from their sources, started anew when those change, and the dashboard by Vite, which
 * reloads the page. On data of its own, with a first user to sign in as.
 */
import { watch } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseSettings } from "@berth/shared/settings";
import { createLogger, createServer, type ViteDevServer } from "vite";
import { sources } from "../build/bundle.ts";
import type { Cluster } from "../processes/cluster.ts";
import { serve } from "../processes/serve.ts";
import { runWithSettings } from "../setup/command.ts";
import { SetupError } from "../setup/debian.ts";
import { root } from "../setup/image.ts";

const usualPort = "5173";
/** What Vite passes on; the rest is the page's. */
const ofTheGateway = "^/(v1|hooks|session|healthz|readyz|\\.well-known|openapi\\.json|docs)(/|$)";
/** Folders, and who is started anew when something in them changes. */
const watched: Record<string, ("gateway" | "host")[]> = {
  "gateway/src": ["gateway"],
  migrations: ["gateway"],
  "host-agent/src": ["host"],
  "shared/src": ["gateway", "host"],
  "shared/node": ["gateway", "host"],
};
/** Debounce: an editor or a checkout writes several files at once. */
const gatherMs = 200;

await runWithSettings(async (settings, [port = usualPort]) => {
  const dir = join(settings.BERTH_DATA_DIR, "dev");
  const own = {
    BERTH_DATA_DIR: dir,
    BERTH_HOST_DATA_DIR: join(dir, "host"),
    // What links, cookies and tokens are made out to, and what browsers send as their origin.
    BERTH_PUBLIC_URL: `http://localhost:${port}`,
  };
  const env = { ...process.env, ...own };
  let vite: ViteDevServer | null = null;
  try {
    return await serve({
      settings: parseSettings(env),
      env,
      files: sources,
      async onReady(cluster) {
        vite = await servePage(cluster.url, Number(port));
        for (const [folder, names] of Object.entries(watched)) restartOnChange(cluster, folder, names);
        process.stdout.write(`A change starts its processes anew and reloads the page; the data is in ${dir}\n`);
      },
    });
  } finally {
    await (vite as ViteDevServer | null)?.close();
  }
});

/** Vite's server for the dashboard, before the gateway: one origin, as in production. */
async function servePage(gateway: string, port: number): Promise<ViteDevServer> {
  const log = createLogger("warn");
  const own = process.listeners("SIGTERM");
  const vite = await createServer({
    configFile: join(root, "gateway/web/vite.config.ts"),
    cacheDir: join(root, "node_modules/.vite"),
    clearScreen: false,
    customLogger: {
      ...log,
      // A process that is away says so itself.
      error: (words, options) => void (/proxy (socket )?error/.test(words) || log.error(words, options)),
    },
    server: {
      host: "127.0.0.1",
      port,
      strictPort: true,
      proxy: { [ofTheGateway]: { target: gateway, ws: true } },
    },
  });
  // Vite would end this process at once, and with another code: first the two others let go of what they have.
  for (const listener of process.listeners("SIGTERM")) if (!own.includes(listener)) process.off("SIGTERM", listener);
  try {
    return await vite.listen();
  } catch (error) {
    await vite.close();
    throw new SetupError(
      `The page cannot be served on port ${port} (${(error as Error).message}): end what listens there, or name another port.`,
      { cause: error },
    );
  }
}

function restartOnChange(cluster: Cluster, folder: string, names: ("gateway" | "host")[]): void {
  let isGathering = false;
  watch(join(root, folder), { recursive: true, persistent: false }, async (_, file) => {
    if (isGathering || file === null || file.includes(".test.")) return;
    isGathering = true;
    await delay(gatherMs);
    isGathering = false;
    process.stderr.write(`${folder}/${file} changed: ${names.join(" and ")} anew\n`);
    for (const name of names) cluster.restart(name);
  });
}
