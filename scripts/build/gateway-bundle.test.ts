import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@berth/shared/node/free-port";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { answers } from "../processes/own-process.ts";
import { bundle } from "./bundle.ts";
import { until } from "../../gateway/test/wait.ts";

let files: Record<"gateway" | "cli", string>;
let dir: string;
let port: number;
const started: ChildProcess[] = [];
beforeAll(async () => {
  files = await bundle("gateway", "cli");
});
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "berth-node-"));
  port = await freePort();
});
afterEach(async () => {
  for (const child of started.splice(0))
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  rmSync(dir, { recursive: true, force: true });
});

function start(file: keyof typeof files, args: string[] = [], env: Record<string, string> = {}): ChildProcess {
  const own = { PATH: process.env["PATH"], BERTH_DATA_DIR: join(dir, "data"), BERTH_PORT: String(port), ...env };
  const child = spawn(process.execPath, [files[file], ...args], { env: own, stdio: ["ignore", "pipe", "pipe"] });
  started.push(child);
  return child;
}

async function finish(child: ChildProcess): Promise<{ code: number | null; out: string; err: string }> {
  let [out, err] = ["", ""];
  child.stdout!.on("data", (data) => (out += data));
  child.stderr!.on("data", (data) => (err += data));
  const [code] = await once(child, "close");
  return { code, out, err };
}

const command = (...args: string[]) => finish(start("cli", args));
const url = () => `http://127.0.0.1:${port}`;

async function startGateway(): Promise<ChildProcess> {
  const child = start("gateway");
  child.stdout!.resume();
  await until(() => answers(`${url()}/healthz`), "the gateway answers");
  return child;
}

async function whoIs(token: string) {
  const answer = await fetch(`${url()}/v1/me`, { headers: { authorization: `Bearer ${token}` } });
  return answer.ok ? ((await answer.json()) as { user: { name: string; role: string } }).user : answer.status;
}

describe("the gateway process", () => {
  test("keeps its data, frees its lock and can be started again after SIGKILL", async () => {
    const first = await startGateway();
    const token = (await command("token", "ada", "--admin")).out.trim();
    expect(await whoIs(token)).toMatchObject({ name: "ada", role: "admin" });
    first.kill("SIGKILL");
    await once(first, "exit");
    await startGateway();
    expect(await whoIs(token)).toMatchObject({ name: "ada" });
  });

  test("takes a new signing key while it runs, and lets go of the old one with what it signed, but not of sealed secrets", async () => {
    await startGateway();
    const keys = async () => {
      const answer = await fetch(`${url()}/.well-known/jwks.json`);
      return ((await answer.json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
    };
    const post = async (path: string, token: string, body: unknown) => {
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      const answer = await fetch(url() + path, { method: "POST", headers, body: JSON.stringify(body) });
      return { status: answer.status, ...((await answer.json()) as { id: string; secret: string }) };
    };
    const old = (await command("token", "ada", "--admin")).out.trim();
    const agent = await post("/v1/agents", old, { name: "hooked" });
    const hook = await post(`/v1/agents/${agent.id}/triggers`, old, { name: "t", scheme: "token", template: "x" });
    const [first] = await keys();

    const rotated = await command("rotate-key");
    const [, kid] = /^The key (\S+) signs from now on/.exec(rotated.out)!;
    await until(async () => (await keys())[0] === kid, "the gateway signs with the new key");
    expect(await keys()).toEqual([kid, first]);
    expect(await whoIs(old)).toMatchObject({ name: "ada" });
    const fresh = (await command("token", "ada")).out.trim();
    expect(JSON.parse(atob(fresh.split(".")[0]!))).toMatchObject({ kid });
    expect(await whoIs(fresh)).toMatchObject({ name: "ada" });

    expect((await command("rotate-key", "--retire")).out).toMatch(/^1 earlier key has ended/);
    await until(async () => (await keys()).length === 1, "the old key is gone");
    expect([await whoIs(old), await whoIs(fresh)]).toEqual(
      [401, { name: "ada", role: "admin" }].map((one) =>
        typeof one === "number" ? one : expect.objectContaining(one),
      ),
    );
    // Its secret opens: the call is genuine, and answered as one for which no host is there.
    expect((await post(`/hooks/${hook.id}`, hook.secret, {})).status).not.toBe(401);
    expect((await post(`/hooks/${hook.id}`, "wrong", {})).status).toBe(401);
    expect((await command("rotate-key", "--retire")).out).toMatch(/nothing to retire/);
  });

  test("ends on SIGTERM with 0, with a call in progress, and takes its pid file along", async () => {
    const gateway = await startGateway();
    const pidFile = join(dir, "data", "gateway.pid");
    expect(Number(readFileSync(pidFile, "utf8"))).toBe(gateway.pid);
    const endless = connect(port, "127.0.0.1").on("error", () => undefined);
    let heard = "";
    endless.on("data", (data) => (heard += String(data)));
    // Whoever asks whether to go on is told so once the call is taken up.
    const head = ["POST /session HTTP/1.1", "Host: x", "Content-Type: application/json", "Content-Length: 9"];
    endless.write([...head, "Expect: 100-continue", "", ""].join("\r\n"));
    await until(() => heard !== "", "the call is in progress");
    const began = Date.now();
    gateway.kill("SIGTERM");
    expect(await once(gateway, "exit")).toEqual([0, null]);
    expect(Date.now() - began).toBeLessThan(10_000);
    expect(heard).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    endless.destroy();
    expect(existsSync(pidFile)).toBe(false);
  });

  test("is alone on its data directory, and says so", async () => {
    await startGateway();
    const second = await finish(start("gateway", [], { BERTH_PORT: String(await freePort()) }));
    expect(second).toMatchObject({ code: 75, out: "" });
    expect(second.err).toMatch(/^Another gateway runs on .*\.\n$/);
  });

  test("says which port is in use", async () => {
    await startGateway();
    const second = await finish(start("gateway", [], { BERTH_DATA_DIR: join(dir, "other") }));
    expect(second).toMatchObject({ code: 75, err: `Port ${port} is in use already; set BERTH_PORT to a free one.\n` });
  });

  test.each([
    [{ BERTH_PORT: "http" }, 2, /^BERTH_PORT must be a whole number; .*\.\n$/],
    [{ BERTH_COLOUR: "red" }, 2, /^BERTH_COLOUR is not a setting of Berth; .*\.\n$/],
    [{ BERTH_LISTEN: "203.0.113.1" }, 75, /^The gateway cannot listen on 203\.0\.113\.1 .*\.\n$/],
    [{ BERTH_DATA_DIR: "/dev/null/data" }, 2, /^The data directory \/dev\/null\/data cannot be used .*\.\n$/],
    [{ BERTH_DATA_DIR: "/proc/berth/data" }, 2, /^The data directory \/proc\/berth\/data cannot be used .*\.\n$/],
  ])("refuses the settings %j with code %i and one sentence", async (env, code, sentence) => {
    const refused = await finish(start("gateway", [], env));
    expect(refused.code).toBe(code);
    expect(refused.err).toMatch(sentence);
  });

  test("shows its keys and database to its own user alone", async () => {
    await command("token", "ada");
    const mode = (path: string) => statSync(join(dir, "data", path)).mode & 0o777;
    expect([mode("."), mode("keys"), mode("keys/signing.jwk"), mode("gateway.sqlite")]).toEqual([
      0o700, 0o700, 0o600, 0o600,
    ]);
  });
});

describe("the commands", () => {
  test("token prints a JWT alone, on a new directory and raced, and all of them are good", async () => {
    const made = await Promise.all([
      command("token", "ada"),
      command("token", "bob", "--admin"),
      command("token", "ada", "--ttl", "10m"),
    ]);
    for (const one of made)
      expect(one).toMatchObject({ code: 0, err: "", out: expect.stringMatching(/^eyJ[\w-]+\.[\w-]+\.[\w-]+\n$/) });
    await startGateway();
    expect(await Promise.all(made.map((one) => whoIs(one.out.trim())))).toMatchObject([
      { name: "ada", role: "user" },
      { name: "bob", role: "admin" },
      { name: "ada" },
    ]);
    const { exp, iat } = JSON.parse(atob(made[2].out.split(".")[1]!));
    expect(exp - iat).toBe(600);
  });

  test("link prints a link whose code signs in once", async () => {
    await startGateway();
    const link = new URL((await command("link", "ada")).out.trim());
    expect(link.origin).toBe(`http://localhost:${port}`);
    const code = new URLSearchParams(link.hash.slice(1)).get("code");
    const signIn = () =>
      fetch(`${url()}/session`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ code }),
      });
    expect((await signIn()).status).toBe(204);
    expect((await signIn()).status).toBe(401);
  });

  test("join-token prints a token alone", async () => {
    expect((await command("join-token")).out).toMatch(/^[a-z0-9]{40}\n$/);
  });

  test.each([
    [["token"]],
    [["token", ""]],
    [["token", "a", "b"]],
    [["token", "a", "--ttl", "soon"]],
    [["token", "a", "--ttl", "0s"]],
    [["token", "a", "--colour"]],
    [["join-token", "a"]],
    [["dance"]],
    [[]],
  ])("%j is refused with one sentence and code 2", async (args) => {
    const refused = await command(...args);
    expect(refused).toMatchObject({ code: 2, out: "" });
    expect(refused.err).toMatch(/^[^\n]+\.\n$/);
  });
});
