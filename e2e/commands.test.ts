import Database from "better-sqlite3";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Run } from "@berth/shared/resources";
import { answers } from "../scripts/processes/own-process.ts";
import { root } from "../scripts/setup/image.ts";
import { connectClient } from "./harness/client.ts";
import { freePort } from "@berth/shared/node/free-port";
import { until } from "../gateway/test/wait.ts";
import { userIdOf } from "./harness/harness.ts";
import { removeTraces } from "./harness/traces.ts";

let dir: string;
let url: string;
let env: Record<string, string>;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "berth-e2e-"));
  writeFileSync(join(dir, "owner"), String(process.pid));
  const port = await freePort();
  url = `http://localhost:${port}`;
  env = {
    PATH: process.env["PATH"]!,
    HOME: dir,
    BERTH_PORT: String(port),
    BERTH_HOST_PORT: String(await freePort()),
    BERTH_DATA_DIR: dir,
    BERTH_HOST_DATA_DIR: join(dir, "host"),
    BERTH_DISK_BYTES: String(2 ** 30),
  };
});
afterAll(() => removeTraces(dir));

interface Command {
  process: ChildProcess;
  said: { out: string; err: string };
  ended: Promise<number | null>;
}

/** What `npm run NAME -- ARGS` runs. */
function begin(name: string, args: string[] = [], more: Record<string, string> = {}): Command {
  const all = { ...env, ...more };
  const child = spawn(process.execPath, ["scripts/setup/setup.mjs", name, ...args], {
    cwd: root,
    env: all,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { out: "", err: "" };
  child.stdout.on("data", (data) => (said.out += data));
  child.stderr.on("data", (data) => (said.err += data));
  return { process: child, said, ended: once(child, "close").then(([code]) => code as number | null) };
}

async function finish(name: string, args: string[] = [], more: Record<string, string> = {}) {
  const { said, ended } = begin(name, args, more);
  return { code: await ended, ...said };
}

const pidIn = (file: string) => Number(readFileSync(join(dir, file), "utf8"));

describe("the commands of the operator", () => {
  let start: Command;
  let run: Run;

  test("npm start ends with a link that signs in, and ready", async () => {
    start = begin("start");
    await until(() => /^ready$/m.test(start.said.out), "it says ready");
    const lines = start.said.out.split("\n");
    expect(lines.slice(-2)).toEqual(["ready", ""]);
    expect(start.said.out).toContain("The built-in demo model answers");
    const code = new RegExp(`${url}/#code=(\\w+)$`, "m").exec(start.said.out)?.[1];
    const signIn = () =>
      fetch(`${url}/session`, {
        method: "POST",
        headers: { "content-type": "application/json", origin: url },
        body: JSON.stringify({ code }),
      });
    expect((await signIn()).status).toBe(204);
    expect((await signIn()).status).toBe(401);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    for (const file of ["gateway.pid", "host/host.pid"]) expect(() => process.kill(pidIn(file), 0)).not.toThrow();
  });

  test("a second process on the same data directory refuses with a sentence", async () => {
    const ports = { BERTH_PORT: String(await freePort()), BERTH_HOST_PORT: String(await freePort()) };
    for (const name of ["gateway", "host", "start"]) {
      const { code, out, err } = await finish(name, [], ports);
      expect([name, code, out]).toEqual([name, name === "start" ? 2 : 75, ""]);
      expect(err).toMatch(/^(gateway: )?Another (gateway|host agent) [^\n]+\.$/m);
    }
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });

  test("one that dies is started again", async () => {
    const pid = pidIn("gateway.pid");
    process.kill(pid, "SIGKILL");
    await until(() => existsSync(join(dir, "gateway.pid")) && pidIn("gateway.pid") !== pid, "there is another");
    await until(() => answers(`${url}/readyz`), "it is ready");
    expect(start.said.err).toMatch(/^gateway: it was ended by SIGKILL; it starts again in 0\.5 s$/m);
  });

  test("SIGTERM ends both with 0 and leaves runs going, and token works before and after", async () => {
    const token = await finish("token", ["ada"]);
    expect(token).toMatchObject({ code: 0, out: expect.stringMatching(/^eyJ[\w-]+\.[\w-]+\.[\w-]+\n$/) as string });
    const ada = connectClient(url, token.out.trim());
    const agent = await ada.createAgent("shell", { runtime: "shell" });
    run = await ada.send(agent.id, "until [ -e ../shared/go ]; do sleep 0.1; done; echo went on");
    await until(async () => (await ada.run(run.id)).status === "running", "the run is running");
    const userId = await userIdOf(ada);
    start.process.kill("SIGTERM");
    expect(await start.ended).toBe(0);
    for (const file of ["gateway.pid", "host/host.pid"]) expect(existsSync(join(dir, file))).toBe(false);
    writeFileSync(join(dir, "host/mnt", userId, "workspace/shared/go"), "");
    expect((await finish("token", ["ada"])).code).toBe(0);
  });

  test("doctor proves the path on the same data, with a pair of its own, by a real run", async () => {
    const { code, out } = await finish("doctor");
    expect([code, out.split("\n").at(-2)]).toEqual([0, "All is well, and Berth does not run now: start it."]);
    expect(out).toMatch(/^✓ run with the built-in demo model \(\d+ ms\)$/m);
    const db = new Database(join(dir, "gateway.sqlite"), { readonly: true });
    expect(db.prepare("SELECT name FROM users").pluck().all().toSorted()).toEqual(["ada", "admin"]);
    db.close();
  });

  test("doctor says in a sentence what is wrong", async () => {
    const strict = createServer((request, response) => {
      request.resume();
      response.writeHead(401, { "content-type": "application/json" }).end('{"type":"error","error":{"type":"x"}}');
    }).listen(0, "127.0.0.1");
    await once(strict, "listening");
    const modelAt = (port: number) => ({ BERTH_MODEL_URL: `http://127.0.0.1:${port}`, ANTHROPIC_API_KEY: "sk-bad" });
    const cases: [Record<string, string>, RegExp][] = [
      [modelAt((strict.address() as AddressInfo).port), /^The model refuses the key: check ANTHROPIC_API_KEY\.$/],
      [modelAt(await freePort()), /^Nothing answers at the model's address http:\/\/127\.0\.0\.1:\d+: check [^\n]+\.$/],
      [{ DOCKER_HOST: `unix://${dir}/none.sock` }, /^No Docker engine answers at DOCKER_HOST=[^\n]+\.$/],
    ];
    for (const [more, sentence] of cases) {
      const { code, out } = await finish("doctor", [], more);
      expect([code, out.trimEnd().split("\n").at(-1)]).toEqual([1, expect.stringMatching(sentence)]);
    }
    strict.close();
  });

  test("the next start finds the run that went on meanwhile", async () => {
    start = begin("start");
    await until(() => /^ready$/m.test(start.said.out), "it says ready");
    const ada = connectClient(url, (await finish("token", ["ada"])).out.trim());
    const { lines, run: ended } = await ada.finish(run.id);
    expect([lines, ended.status]).toEqual([['{"type":"line","text":"went on"}'], "completed"]);
  });

  test("npm run host joins by the command that an admin copies, starts anew without its token, and ends once removed", async () => {
    const admin = connectClient(url, (await finish("token", ["boss", "--admin"])).out.trim());
    const { command } = await admin.ok<{ command: string }>("POST", "/v1/admin/hosts/join-tokens");
    const copied = /^BERTH_GATEWAY_URL=(\S+) BERTH_JOIN_TOKEN=(\S+) BERTH_HOST_URL=.* npm run host$/.exec(command);
    const [, gatewayUrl = "", joinToken = ""] = copied ?? [];
    const port = String(await freePort());
    const more = {
      BERTH_GATEWAY_URL: gatewayUrl,
      BERTH_HOST_URL: `http://127.0.0.1:${port}`,
      BERTH_HOST_PORT: port,
      BERTH_HOST_NAME: "second",
      BERTH_HOST_DATA_DIR: join(dir, "second"),
    };
    const isLive = async () => {
      const { items } = await admin.ok<{ items: { name: string; status: string; id: string }[] }>(
        "GET",
        "/v1/admin/hosts",
      );
      return items.find(({ name, status }) => name === "second" && status === "live");
    };
    const first = begin("host", [], { ...more, BERTH_JOIN_TOKEN: joinToken });
    await until(isLive, "the second host is live");
    first.process.kill("SIGTERM");
    expect(await first.ended).toBe(0);
    const again = begin("host", [], more);
    await until(() => again.said.out.includes('"host.ready"'), "it is ready");
    const { id } = await until(isLive, "it is live again");
    await admin.ok("DELETE", `/v1/admin/hosts/${id}`);
    expect(await again.ended).toBe(2);
    expect(again.said.err).toMatch(/^[^\n]*removed[^\n]*\.$/m);
    start.process.kill("SIGTERM");
    expect(await start.ended).toBe(0);
  });
});

test("npm run dev runs the sources behind the page's server, and starts anew what changes", async () => {
  const port = String(await freePort());
  const page = `http://localhost:${port}`;
  const ports = { BERTH_PORT: String(await freePort()), BERTH_HOST_PORT: String(await freePort()) };
  const dev = begin("dev", [port], ports);
  await until(() => /^ready$/m.test(dev.said.out), "it says ready");
  expect(await (await fetch(page)).text()).toContain("/@vite/client");
  const code = new RegExp(`${page}/#code=(\\w+)$`, "m").exec(dev.said.out)?.[1];
  const signIn = await fetch(`${page}/session`, {
    method: "POST",
    headers: { "content-type": "application/json", origin: page },
    body: JSON.stringify({ code }),
  });
  expect(signIn.status).toBe(204);
  const files = ["dev/gateway.pid", "dev/host/host.pid"];
  const first = files.map(pidIn);
  const commands = first.map((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8"));
  expect(commands).toEqual([expect.stringContaining("gateway/src/"), expect.stringContaining("host-agent/src/")]);
  // Touched with its own times: whoever watches is told, and no bundle becomes older than its sources.
  const source = join(root, "shared/src/log.ts");
  utimesSync(source, statSync(source).atime, statSync(source).mtime);
  await until(
    () => files.every((file, at) => existsSync(join(dir, file)) && pidIn(file) !== first[at]),
    "both are started anew",
  );
  await until(() => answers(`${page}/readyz`), "they are ready");
  dev.process.kill("SIGTERM");
  expect(await dev.ended).toBe(0);
  expect(files.filter((file) => existsSync(join(dir, file)))).toEqual([]);
});
