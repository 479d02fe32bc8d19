/** Behind each proxy that docs/internet.md names, with the very configuration that stands there. */
import { spawn, type ChildProcess } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { freePort } from "@berth/shared/node/free-port";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../gateway/test/wait.ts";
import { answers } from "../scripts/processes/own-process.ts";
import { connectClient, textOf, type Client } from "./harness/client.ts";
import { startBerth, type Berth } from "./harness/harness.ts";
import { makeOwnDirectory } from "@berth/shared/node/own-directory";

let berth: Berth;
beforeAll(async () => {
  berth = await startBerth({ BERTH_TRUST_PROXY: "1" });
});
afterAll(() => berth?.close());

const page = readFileSync(join(import.meta.dirname, "../docs/internet.md"), "utf8");
const shown = (language: string) => new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(page)![1]!;

/** How each is started on a port with what the page shows, but for name and certificate. */
const proxies: Record<string, (dir: string, port: number, target: string) => [program: string, ...args: string[]]> = {
  caddy: (dir, port, target) => {
    const site = shown("caddyfile").replace("berth.example.com", `http://127.0.0.1:${port}`);
    const file = join(dir, "Caddyfile");
    writeFileSync(file, `{\n\tadmin off\n}\n${site.replace("127.0.0.1:8080", target)}`);
    return ["caddy", "run", "--adapter", "caddyfile", "--config", file];
  },
  nginx: (dir, port, target) => {
    const server = shown("nginx")
      .replace("listen 443 ssl", `listen 127.0.0.1:${port}`)
      .replaceAll(/^\s*ssl_.*$/gm, "")
      .replace("127.0.0.1:8080", target);
    const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
      (kind) => `${kind}_temp_path ${dir}/${kind};`,
    );
    const file = join(dir, "nginx.conf");
    const around = `daemon off; worker_processes 1; pid ${dir}/pid; error_log ${dir}/error.log; events {}\n`;
    writeFileSync(file, `${around}http { access_log off; ${places.join(" ")}\n${server}}`);
    return ["nginx", "-e", `${dir}/error.log`, "-p", dir, "-c", file];
  },
};

describe.each(Object.keys(proxies))("behind %s", (name) => {
  let dir: string;
  let proxy: ChildProcess;
  let client: Client;
  let url: string;
  beforeAll(async () => {
    dir = makeOwnDirectory("proxy");
    mkdirSync(join(dir, "home"));
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const [program, ...args] = proxies[name]!(dir, port, new URL(berth.url).host);
    const env = { PATH: `${process.env["PATH"]}:/usr/sbin`, HOME: join(dir, "home") };
    proxy = spawn(program, args, { env, stdio: "ignore" });
    await until(() => answers(`${url}/healthz`), `${name} serves`);
    client = connectClient(url, (await berth.client(`of-${name}`)).token);
  });
  afterAll(async () => {
    const ended = once(proxy, "exit");
    proxy.kill();
    await ended;
    rmSync(dir, { recursive: true });
  });

  test("lines of a run come as they are written, by stream and by socket", async () => {
    const agent = await client.createAgent("streams", { runtime: "shell" });
    const socket = await client.connect();
    const run = await client.send(agent.id, "echo first; until [ -e go ]; do sleep 0.1; done; echo last");
    const lines: string[] = [];
    for await (const { event, data } of client.events(run.id)) {
      if (event !== "output") continue;
      lines.push(textOf(data));
      // The run goes on once its first line was seen here, and not before.
      if (lines.length === 1) await client.ok("PUT", `/v1/agents/${agent.id}/files/go`, "");
    }
    expect(lines).toEqual(["first", "last"]);
    await until(() => JSON.stringify(socket.frames).includes("last"), "the socket tells the last line");
    expect(await socket.close()).toBe(1005);
  });

  test("a file of 16 MB goes up and comes down, byte by byte", async () => {
    const agent = await client.createAgent("files", { runtime: "shell" });
    const file = `${url}/v1/agents/${agent.id}/files/big`;
    const headers = { authorization: `Bearer ${client.token}` };
    const body = randomBytes(16 * 2 ** 20);
    expect((await fetch(file, { method: "PUT", headers, body })).status).toBeLessThan(300);
    const hash = createHash("sha256");
    for await (const chunk of (await fetch(file, { headers })).body!) hash.update(chunk);
    expect(hash.digest("hex")).toBe(createHash("sha256").update(body).digest("hex"));
  });

  test("the audit has the caller's address, whatever the caller says it is", async () => {
    const admin = await berth.client("boss", { admin: true });
    const sent = request(`${url}/session`, {
      method: "POST",
      localAddress: "127.0.0.2",
      headers: { "content-type": "application/json", "x-forwarded-for": "203.0.113.9" },
    });
    sent.end(JSON.stringify({ code: `no such code of ${name}` }));
    const [answer] = await once(sent, "response");
    answer.resume();
    expect(answer.statusCode).toBe(401);
    const { items } = await admin.ok<{ items: { address: string }[] }>(
      "GET",
      "/v1/admin/audit?action=sign_in.failed&limit=1",
    );
    expect(items[0]!.address).toBe("127.0.0.2");
  });
});
