import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { protocolVersion } from "@berth/shared/host-api";
import type { Agent, Run } from "@berth/shared/resources";
import { bundle } from "../scripts/build/bundle.ts";
import { type Client, textOf } from "./harness/client.ts";
import { type Fleet, type FleetHost, startFleet } from "./engines/fleet.ts";
import { until } from "../gateway/test/wait.ts";
import { startBerth, userIdOf } from "./harness/harness.ts";

interface HostItem {
  id: string;
  name: string;
  status: string;
  reason: string | null;
  version: string | null;
}

let fleet: Fleet;
let admin: Client;
let alice: Client;
let agent: Agent;
/** Made on a host that is removed, and deleted while its user lives on another. */
let left: Agent;
beforeAll(async () => {
  fleet = await startFleet({ hosts: 2, settings: { BERTH_IDLE_SECONDS: "600" } });
  admin = await fleet.client("boss", { admin: true });
  alice = await fleet.client("alice");
  agent = await alice.createAgent("shell", { runtime: "shell" });
});
afterAll(() => fleet?.close());

const listed = async () => (await admin.ok<{ items: HostItem[] }>("GET", "/v1/admin/hosts")).items;
const itemOf = async (host: FleetHost) => (await listed()).find(({ id }) => id === host.id());
const hostOfAlice = async () => {
  const { hostId } = await alice.workspace();
  return fleet.hosts.find((host) => host.id() === hostId)!;
};
const numbers = (count: number) => Array.from({ length: count }, (_, at) => String(at + 1));
const other = join(import.meta.dirname, "hosts/other-host.ts");
/** The host agent as it would be with the next protocol: a file beside the real one. */
async function makeNextProtocol(): Promise<string> {
  const { host: file } = await bundle("host");
  const text = readFileSync(file, "utf8");
  const next = text.replace(/\bprotocolVersion = \d+\b/, "protocolVersion = 99");
  expect(next).not.toBe(text);
  const path = file.replace(/\.mjs$/, ".next.mjs");
  writeFileSync(path, next);
  return path;
}

describe("hosts", () => {
  test("serve a first message each, on the one with the fewest users", async () => {
    expect((await alice.runToEnd(agent.id, "echo hi > file; echo hi")).run.result).toBe("hi\n");
    const bob = await fleet.client("bob");
    const his = await bob.createAgent("shell", { runtime: "shell" });
    expect((await bob.runToEnd(his.id, "echo hi")).run.result).toBe("hi\n");
    expect((await bob.workspace()).hostId).not.toBe((await alice.workspace()).hostId);
  });

  test("are replaced by another version, and the gateway too, with a run live that loses nothing", async () => {
    const host = await hostOfAlice();
    const run = await alice.send(agent.id, "for i in $(seq 1 500); do echo $i; sleep 0.01; done; exit 3");
    const finished = alice.finish(run.id);
    await until(async () => (await alice.run(run.id)).status === "running", "it runs");
    expect(await host.agent.kill("SIGTERM")).toBe(0);
    await host.agent.start({ OTHER_VERSION: "9.9.9" }, other);
    expect(await fleet.gateway.kill("SIGTERM")).toBe(0);
    await fleet.gateway.start();
    const { lines, run: ended } = await finished;
    expect(lines.map(textOf)).toEqual(numbers(500));
    expect(ended).toMatchObject({ reason: "nonzero_exit", exitCode: 3 });
    await until(async () => (await itemOf(host))?.version === "9.9.9", "the admin sees the version");
  });

  test("of another protocol are down, and refuse calls and sockets, with who must be upgraded; a run live loses nothing", async () => {
    const host = await hostOfAlice();
    const run = await alice.send(agent.id, "for i in $(seq 1 1000); do echo $i; sleep 0.01; done; exit 3");
    const finished = alice.finish(run.id);
    await until(async () => (await alice.run(run.id)).status === "running", "it runs");
    const sentence = expect.stringContaining(`protocol 99 and the gateway ${protocolVersion}: upgrade the gateway`);
    await host.agent.kill("SIGTERM");
    const next = await makeNextProtocol();
    await host.agent.start({}, next);
    await until(async () => (await itemOf(host))?.reason?.includes("protocol 99"), "the admin sees why");
    expect(await itemOf(host)).toMatchObject({ status: "down", reason: sentence });
    const refused = await alice.call("POST", `/v1/agents/${agent.id}/runs`, { prompt: "echo no" });
    expect(refused).toMatchObject({ status: 503, body: { code: "host_unavailable", detail: sentence } });
    await expect(alice.connect()).rejects.toThrow("503");
    expect((await alice.run(run.id)).status).toBe("running");
    await host.agent.kill("SIGTERM");
    rmSync(next);
    await host.agent.start();
    const { lines, run: ended } = await finished;
    expect(lines.map(textOf)).toEqual(numbers(1000));
    expect(ended).toMatchObject({ reason: "nonzero_exit", exitCode: 3 });
    await until(async () => (await itemOf(host))?.status === "live", "it is live again");
  });

  test("follow the gateway's time from their first moment, however wrong their own clock is", async () => {
    const host = await hostOfAlice();
    for (const offset of [120_000, -120_000]) {
      const run = await alice.send(agent.id, "for i in $(seq 1 100); do echo $i; sleep 0.02; done");
      await host.agent.kill();
      await host.agent.start({ CLOCK_OFFSET: String(offset) }, other);
      const { lines, run: ended } = await alice.finish(run.id);
      expect(lines.map(textOf)).toEqual(numbers(100));
      expect(ended.reason).toBe("completed");
      const next = (await alice.runToEnd(agent.id, "echo hi")).run;
      for (const time of [next.createdAt, next.startedAt, next.endedAt])
        expect(Math.abs(Date.parse(time!) - Date.now())).toBeLessThan(60_000);
    }
    await host.agent.kill();
    await host.agent.start();
  });

  test("behind a cut link are unavailable with a time to try again, and then are told all", async () => {
    const host = await hostOfAlice();
    const run = await alice.send(agent.id, "for i in $(seq 1 300); do echo $i; sleep 0.01; done");
    host.cut();
    const refused = await alice.call("POST", `/v1/agents/${agent.id}/runs`, { prompt: "echo no" });
    expect(refused).toMatchObject({ status: 503, body: { code: "host_unavailable" } });
    expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
    host.heal();
    const { lines } = await alice.finish(run.id);
    expect(lines.map(textOf)).toEqual(numbers(300));
  });

  test("that go silent close their users' sockets with 1012, so that these come back", async () => {
    const host = await hostOfAlice();
    const socket = await alice.connect();
    await until(() => socket.frames.length > 0, "hello comes");
    host.cut();
    expect(await Promise.race([socket.closed, until(() => null, "it closes")])).toBe(1012);
    await until(async () => (await itemOf(host))?.status === "down", "the admin sees it down");
    expect((await itemOf(host))?.reason).toMatch(/silent since/);
    host.heal();
    const again = await until(() => alice.connect().catch(() => null), "the socket opens again");
    await again.close();
  });

  test("that were removed end what they run, keep the files, say so, and stay away; their users start anew", async () => {
    const host = await hostOfAlice();
    left = await alice.createAgent("left behind", { runtime: "shell" });
    await alice.runToEnd(left.id, "echo mine > file");
    const run = await alice.send(agent.id, "echo up; sleep 1000");
    await until(async () => (await alice.run(run.id)).status === "running", "it runs");
    expect((await admin.call("DELETE", `/v1/admin/hosts/${host.id()}`)).status).toBe(409);
    expect((await admin.call("DELETE", `/v1/admin/hosts/${host.id()}?confirm=${host.name}`)).status).toBe(204);
    expect(await alice.run(run.id)).toMatchObject({ status: "failed", reason: "host_lost" });
    expect(await host.agent.ended()).toBe(2);
    expect(host.agent.log()).toMatch(/The gateway has removed this host: .* are kept in /);
    expect(await host.docker.listContainers({ all: true })).toEqual([]);
    expect(existsSync(join(host.dataDir, "volumes"))).toBe(true);
    // It may serve for a moment, until the gateway has told it again.
    await host.agent.start().catch(() => undefined);
    expect(await host.agent.ended()).toBe(2);
    expect((await alice.ok<{ notice: string }>("GET", "/v1/me")).notice).toContain(`${host.name} was removed`);
    expect((await alice.runToEnd(agent.id, "ls")).run).toMatchObject({ status: "completed", result: "" });
    expect((await alice.ok<{ items: Run[] }>("GET", "/v1/runs")).items.find(({ id }) => id === run.id)?.reason).toBe(
      "host_lost",
    );
    expect((await alice.finish(run.id)).run.reason).toBe("host_lost");
    await alice.ok("DELETE", `/v1/agents/${left.id}`);
  });

  test("that a restored gateway never met say so, and joined anew have ended what ran, and the files", async () => {
    const usual = await hostOfAlice();
    const host = fleet.hosts.find((one) => one !== usual)!;
    const dora = await fleet.client("dora");
    const hers = await dora.createAgent("shell", { runtime: "shell" });
    const joinAnew = async () => {
      await host.agent.kill();
      rmSync(join(host.dataDir, "host.json"));
      await host.join();
      await until(async () => (await itemOf(host))?.status === "live", "it has reported");
    };
    const database = join(fleet.gatewayDir, "gateway.sqlite");
    await fleet.gateway.kill("SIGTERM");
    copyFileSync(database, `${database}.copy`);
    await fleet.gateway.start();
    await joinAnew();
    // It has alice's files still, who lives elsewhere now: of the agent that she deleted there meanwhile they go.
    const kept = join(host.dataDir, "mnt", await userIdOf(alice), "workspace");
    const isThere = ({ id }: Agent) => existsSync(join(kept, `agent-${id}`));
    await until(() => isThere(agent) && !isThere(left), "the deleted agent's files are gone, and no others");
    await dora.runToEnd(hers.id, "echo hers > file");
    expect((await dora.workspace()).hostId).toBe(host.id());
    const run = await dora.send(hers.id, "sleep 1000");

    await fleet.gateway.kill();
    for (const suffix of ["-wal", "-shm"]) rmSync(database + suffix, { force: true });
    copyFileSync(`${database}.copy`, database);
    await fleet.gateway.start();
    await until(() => host.agent.log().includes("does not know this host"), "the host says so");
    const [earlier] = await host.docker.listContainers();
    await joinAnew();
    const again = await until(async () => {
      const answer = await dora.call<Run>("POST", `/v1/agents/${hers.id}/runs`, { prompt: "cat file" });
      return answer.status === 202 ? answer.body : null;
    }, "what ran is ended, and she may send");
    expect((await dora.finish(again.id)).run.result).toBe("hers\n");
    const containers = await host.docker.listContainers({ all: true });
    expect(containers).toHaveLength(1);
    expect(containers[0]!.Id).not.toBe(earlier!.Id);
    await until(async () => (await dora.run(run.id)).reason === "host_lost", "the run's end is told");
  });
});

test("a host serves https with its certificate, which the gateway trusts by its authority", async () => {
  const berth = await startBerth({}, (settings) => {
    const dir = settings["BERTH_DATA_DIR"]!;
    const [key, cert] = [join(dir, "key.pem"), join(dir, "cert.pem")];
    execFileSync(
      "openssl",
      [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        key,
        "-out",
        cert,
      ],
      { stdio: "ignore" },
    );
    Object.assign(settings, {
      BERTH_HOST_TLS_CERT: cert,
      BERTH_HOST_TLS_KEY: key,
      BERTH_HOST_URL: `https://localhost:${settings["BERTH_HOST_PORT"]}`,
      NODE_EXTRA_CA_CERTS: cert,
      BERTH_HOST_LISTEN: "127.0.0.1",
    });
  });
  try {
    const client = await berth.client("tess");
    const mine = await client.createAgent("a", { runtime: "shell" });
    const socket = await client.connect();
    await until(() => socket.frames.length > 0, "hello comes");
    expect((await client.runToEnd(mine.id, "echo safe")).run.result).toBe("safe\n");
    await until(() => socket.frames.some(({ type }) => type === "output"), "the socket tells output");
    await socket.close();
    expect(readFileSync(join(berth.dir, "host.log"), "utf8")).toContain("https://localhost");
  } finally {
    await berth.close();
  }
});
