import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Agent } from "@berth/shared/resources";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { bundle } from "../scripts/build/bundle.ts";
import { connectClient, openSocket, textOf, type Client } from "./harness/client.ts";
import { answers } from "../scripts/processes/own-process.ts";
import { freePort } from "@berth/shared/node/free-port";
import { patienceMs, until } from "../gateway/test/wait.ts";
import { createDaemon, type Daemon } from "./harness/harness.ts";
import { removeTraces } from "./harness/traces.ts";
import { startWorkerGateway, type WorkerGateway } from "./harness/worker-gateway.ts";

const dir = mkdtempSync(join(tmpdir(), "berth-e2e-"));
let gateway: WorkerGateway;
let host: Daemon;
let alice: Client;
let agent: Agent;
beforeAll(async () => {
  writeFileSync(join(dir, "owner"), String(process.pid));
  const [files, port, hostPort] = [await bundle("gateway", "host"), await freePort(), await freePort()];
  gateway = await startWorkerGateway(join(dir, "d1"), port);
  const { token } = await gateway.admin.ok<{ token: string }>("POST", "/v1/admin/hosts/join-tokens");
  const url = `http://127.0.0.1:${hostPort}`;
  const env = {
    PATH: process.env["PATH"]!,
    HOME: dir,
    BERTH_GATEWAY_URL: gateway.url,
    BERTH_JOIN_TOKEN: token,
    BERTH_HOST_PORT: String(hostPort),
    BERTH_HOST_URL: url,
    BERTH_HOST_DATA_DIR: join(dir, "host"),
    BERTH_DISK_BYTES: String(2 ** 30),
  };
  host = createDaemon("host", files.host, dir, env, () => answers(`${gateway.url}/readyz`));
  await host.start();
  const user = await gateway.admin.ok<{ id: string }>("POST", "/v1/admin/users", { name: "alice" });
  const made = await gateway.admin.ok<{ token: string }>("POST", `/v1/admin/users/${user.id}/tokens`, { name: "e2e" });
  alice = connectClient(gateway.url, made.token);
  agent = await alice.createAgent("shell", { runtime: "shell" });
});
afterAll(async () => {
  if (host) await host.kill("SIGTERM");
  await gateway?.close();
  await removeTraces(dir);
});

const numbers = (count: number) => Array.from({ length: count }, (_, at) => String(at + 1));

describe("a gateway on Workers with D1", () => {
  test("runs the CLI on the host and streams what it says", async () => {
    const claude = await alice.createAgent("claude");
    const { lines, run } = await alice.runToEnd(claude.id, "Say hello.");
    expect(run).toMatchObject({ status: "completed", reason: "completed", exitCode: 0 });
    expect(lines.map((line) => (JSON.parse(line) as { type: string }).type)).toContain("result");
    await expect.poll(() => alice.run(run.id), { timeout: patienceMs }).toEqual(run);
  });

  test("gives each line once and in order, also to a reader that comes back in the middle", async () => {
    const run = await alice.send(agent.id, "for i in $(seq 1 300); do echo $i; sleep 0.003; done");
    const seen: string[] = [];
    let at = 0;
    for await (const event of alice.followRun(run.id)) {
      if (event.event !== "output") continue;
      seen.push(textOf(event.data));
      at = Number(event.id);
      if (seen.length === 50) break;
    }
    for await (const event of alice.followRun(run.id, at)) if (event.event === "output") seen.push(textOf(event.data));
    expect(seen).toEqual(numbers(300));
  });

  test("serves the dashboard from its assets, with the headers of a page that trusts nobody", async () => {
    const page = await fetch(gateway.url);
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
    const script = /src="(\/assets\/[^"]+\.js)"/.exec(await page.text())![1]!;
    const file = await fetch(gateway.url + script);
    expect([file.status, file.headers.get("cache-control")]).toEqual([200, "public, max-age=31536000, immutable"]);
    await file.body!.cancel();
  });

  test("has a cron that does what is due", async () => {
    expect(await gateway.runCron()).toContain('"outcome":"ok"');
  });
});

describe("a socket through Workers", () => {
  test("shows the workspace and its runs, and ends with 4001 when its token is revoked", async () => {
    const made = await alice.ok<{ id: string; token: string }>("POST", "/v1/tokens", { name: "short" });
    const socket = await connectClient(gateway.url, made.token).connect();
    await until(() => socket.frames.length > 0, "hello comes");
    const run = await alice.send(agent.id, "echo over the socket");
    await until(
      () => socket.frames.find((frame) => frame.type === "output" && frame.runId === run.id),
      "the line comes",
    );
    expect(socket.frames[0]!.type).toBe("hello");
    await alice.ok("DELETE", `/v1/tokens/${made.id}`);
    expect(await socket.closed).toBe(4001);
  });

  test("from a foreign page is closed with 4003", async () => {
    const headers = { authorization: `Bearer ${alice.token}`, origin: "http://evil.example" };
    const socket = await openSocket(
      new WebSocket(`${gateway.url.replace("http", "ws")}/v1/connect`, ["berth.v1"], { headers }),
    );
    expect(await socket.closed).toBe(4003);
  });

  test("carries a terminal's bytes both ways", async () => {
    const headers = { authorization: `Bearer ${alice.token}` };
    const terminal = new WebSocket(
      `${gateway.url.replace("http", "ws")}/v1/agents/${agent.id}/terminal`,
      ["berth.v1"],
      { headers },
    );
    let text = "";
    terminal.on("message", (data, isBinary) => (text += isBinary ? (data as Buffer).toString() : ""));
    await once(terminal, "open");
    terminal.send(Buffer.from("echo $((6*7))-over-workers\n"));
    await until(() => text.includes("42-over-workers"), "the shell answers");
    const closed = once(terminal, "close");
    terminal.send(Buffer.from("exit\n"));
    expect((await closed)[0]).toBe(1000);
  });
});

describe("a client that stalls", () => {
  test("makes the host wait: the Worker's memory stays where it is", async () => {
    const { run } = await alice.runToEnd(
      agent.id,
      "head -c 200000000 /dev/zero | tr '\\0' x | fold -w 10000 > big; cat big; echo",
    );
    expect(run.logBytes).toBeGreaterThan(200_000_000);
    const headers = { authorization: `Bearer ${alice.token}` };
    const request = get(`${gateway.url}/v1/runs/${run.id}/events`, { headers });
    const [reader] = (await once(request, "response")) as [IncomingMessage];
    reader.pause();
    // Buffers of the connections fill first.
    await until(async () => {
      const filled = gateway.memoryBytes();
      await delay(500);
      return Math.abs(gateway.memoryBytes() - filled) < 1_000_000;
    }, "buffers are full");
    const before = gateway.memoryBytes();
    await delay(4000);
    const growth = gateway.memoryBytes() - before;
    let length = 0;
    reader.on("data", (chunk: Buffer) => (length += chunk.length));
    reader.resume();
    await once(reader, "end");
    expect(length).toBeGreaterThan(200_000_000);
    expect(growth).toBeLessThan(16_000_000);
    process.stdout.write(
      `workerd: ${Math.round(before / 2 ** 20)} MiB with a stalled reader, ${Math.round(growth / 2 ** 20)} MiB more after 4 s\n`,
    );
  });
});
