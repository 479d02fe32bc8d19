/** For tests: the gateway as it is deployed on Workers, in wrangler's workerd with a local D1, set up by the commands that a deployment gets. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { unstable_startWorker as startWorker } from "wrangler";
import { root } from "../../scripts/setup/image.ts";
import { connectClient, type Client } from "./client.ts";

/** Looks nothing up: neither the machine's place nor where to send figures. */
const offline = {
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_SEND_ERROR_REPORTS: "false",
  CI: "1",
};

export interface WorkerGateway {
  url: string;
  /** Of the admin whom the printed commands made. */
  admin: Client;
  /** Resident memory of all workerd processes of this gateway now, in bytes. */
  memoryBytes(): number;
  /** Fires the cron event once; the runtime's word on how it ended. */
  runCron(): Promise<string>;
  close(): Promise<void>;
}

/** Starts the Worker of `wrangler.toml` with its D1 in `dir`. */
export async function startWorkerGateway(dir: string, port: number): Promise<WorkerGateway> {
  const url = `http://127.0.0.1:${port}`;
  const said = execFileSync(process.execPath, [join(root, "scripts/commands/worker-secrets.ts"), url], {
    encoding: "utf8",
    cwd: root,
  });
  for (const command of said
    .split("\n")
    .filter((line) => line.startsWith("npx wrangler d1") && !line.includes("d1 create")))
    execFileSync("sh", ["-c", `${command.replace("npx ", "").replace("--remote", "--local")} --persist-to '${dir}'`], {
      cwd: root,
      env: { ...process.env, ...offline },
      stdio: "pipe",
    });
  const signingKey = /^ printf %s '(.*)' \| npx wrangler secret put BERTH_SIGNING_KEY$/m.exec(said)![1]!;
  Object.assign(process.env, offline);
  const before = workerds();
  const worker = await startWorker({
    config: join(root, "wrangler.toml"),
    bindings: {
      BERTH_PUBLIC_URL: { type: "plain_text", value: url },
      BERTH_SIGNING_KEY: { type: "secret_text", value: signingKey },
    },
    dev: { server: { hostname: "127.0.0.1", port }, inspector: false, persist: dir, watch: false, logLevel: "error" },
  });
  await worker.ready;
  const own = workerds().filter((pid) => !before.includes(pid));
  return {
    url,
    admin: await signIn(url, /#code=(\S+)/.exec(said)![1]!),
    memoryBytes: () => own.map(residentBytes).reduce((sum, bytes) => sum + bytes, 0),
    runCron: async () => (await fetch(`${url}/cdn-cgi/handler/scheduled?cron=*+*+*+*+*&format=json`)).text(),
    close: () => worker.dispose(),
  };
}

/** The link's code becomes a session, and that a token. */
async function signIn(url: string, code: string): Promise<Client> {
  const headers = { "content-type": "application/json", origin: url };
  const session = await fetch(`${url}/session`, { method: "POST", headers, body: JSON.stringify({ code }) });
  const cookie = session.headers.getSetCookie()[0]!.split(";")[0]!;
  const made = await fetch(`${url}/v1/tokens`, {
    method: "POST",
    headers: { ...headers, cookie },
    body: JSON.stringify({ name: "e2e" }),
  });
  return connectClient(url, ((await made.json()) as { token: string }).token);
}

function workerds(): number[] {
  const isOurs = (pid: string) => {
    try {
      const parent = /^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1];
      return Number(parent) === process.pid && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("workerd");
    } catch {
      return false;
    }
  };
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && isOurs(name))
    .map(Number);
}

const residentBytes = (pid: number) =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024;
