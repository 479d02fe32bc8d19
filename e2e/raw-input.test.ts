/**
 * Raw bytes at every socket that somebody else may write to. Afterwards the same processes answer, and nothing is left. A test is named by
 * its seed: `BERTH_TEST_SEED=N` makes it again.
 */
import { execFile } from "node:child_process";
import type { NetConnectOpts } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Agent } from "@berth/shared/resources";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../gateway/test/wait.ts";
import { readProc } from "../host-agent/src/machine/proc.ts";
import type { Client } from "./harness/client.ts";
import { type Berth, startBerth, userIdOf } from "./harness/harness.ts";
import { throwRawInput, type Words } from "./harness/raw-input.ts";

const connections = 400;
const mostMb = 200;
const given = process.env["BERTH_TEST_SEED"];
/** One that is always the same, and one of its own for each day. */
const seeds = given ? [Number(given)] : [1, Math.floor(Date.now() / 86_400_000)];

let berth: Berth;
let bob: Client;
let agent: Agent;
let userId: string;
/** Of a run that goes on: what its process holds. */
let modelToken: string;
beforeAll(async () => {
  berth = await startBerth();
  bob = await berth.client("bob");
  userId = await userIdOf(bob);
  agent = await bob.createAgent("shell", { runtime: "shell" });
  const talker = await bob.createAgent("talker");
  await bob.send(talker.id, "demo: run until [ -e ended ]; do sleep 0.2; done");
  modelToken = await until(tokenOfRun, "the run is under way");
  await bob.runToEnd(agent.id, "true");
});
/** As a process of the run has it. */
async function tokenOfRun(): Promise<string | undefined> {
  const environments = (await berth.processes(userId)).map(({ pid }) => readProc(`/proc/${pid}/environ`));
  return /\bANTHROPIC_API_KEY=([^\0]+)/.exec(environments.join("\0"))?.[1];
}
afterAll(async () => {
  await berth?.close();
});

const base64 = (text: string) => Buffer.from(text).toString("base64url");
/** Made-up tokens, some of which no text can be made of. */
const madeUp = [
  "x.y.z",
  `x.${base64('{"sub":{"toString":1}}')}.y`,
  `${base64('{"kid":{"a":1}}')}.${base64("[]")}.`,
  "\xff",
];
const socket =
  "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==";
const common = [
  "host: a",
  "host: [b",
  "content-length: 3",
  "content-length: 300",
  "content-length: -1",
  "transfer-encoding: chunked",
  "transfer-encoding: gzip, chunked",
  "expect: 100-continue",
  "expect: x",
  "connection: close",
  "upgrade: x\r\nconnection: upgrade",
  "trailer: x",
  "__proto__: 1",
  "content-type: application/json",
  "x: \xff",
  `y: ${"a".repeat(9000)}`,
];
/** Of requests, and frames of a socket: masked, not masked, too long, of no kind. */
const bodies = [
  "",
  "abc",
  "{}",
  "3\r\nabc\r\n0\r\n\r\n",
  "ffffffffffffffff\r\n",
  "\xf1\x80\x00\x00\x00\x00",
  "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff",
  `\x82\xfe\x01\x00\x00\x00\x00\x00${"a".repeat(256)}`,
  "\x88\x81\x00\x00\x00\x00\x01",
  "\x89\x80\x00\x00\x00\x00",
];
const methods = ["GET", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "PRI"];
const bearer = (tokens: string[]) => tokens.map((token) => `authorization: Bearer ${token}`);

/** Where, and what is said there. Whoever is connected to may ask for its own things alone. */
const targets: Record<string, () => { at: NetConnectOpts; words: Words }> = {
  gateway: () => ({
    at: { host: "127.0.0.1", port: Number(new URL(berth.url).port) },
    words: {
      heads: [
        `GET /v1/connect HTTP/1.1\r\nhost: a\r\n${socket}\r\norigin: http://elsewhere.example\r\nsec-websocket-protocol: berth.v1`,
        "GET /healthz HTTP/1.1\r\nhost: a",
        "POST /session HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 3",
      ],
      methods,
      targets: [
        "/healthz",
        "/v1/agents",
        "/v1/connect",
        "/v1/runs/%ff/events",
        "/session",
        "/hooks/x",
        "*",
        "//",
        "http://[x/",
      ],
      headers: [...common, socket, socket, "cookie: berth=x; a", ...bearer(madeUp)],
      bodies,
    },
  }),
  "host agent": () => ({
    at: { host: "127.0.0.1", port: Number(berth.env["BERTH_HOST_PORT"]) },
    words: {
      heads: [
        ...bearer(madeUp).map(
          (line) => `GET /v1/connect HTTP/1.1\r\nhost: a\r\n${socket}\r\nsec-websocket-protocol: berth.v1\r\n${line}`,
        ),
        "GET /healthz HTTP/1.1\r\nhost: a",
      ],
      methods,
      targets: [
        "/healthz",
        "/v1/connect",
        "/v1/runs",
        "/v1/agents/x/files?path=%ff",
        "/v1/agents/a/terminal?x",
        "*",
        "//",
        "http://[x/",
      ],
      headers: [...common, socket, socket, "sec-websocket-protocol: berth.v1", "berth-protocol: 99", ...bearer(madeUp)],
      bodies,
    },
  }),
  "model socket": () => ({
    at: { path: join(berth.hostDir, "run", userId, `${agent.id}.sock`) },
    words: {
      heads: [
        "HEAD / HTTP/1.1\r\nhost: a",
        "CONNECT a:1 HTTP/1.1\r\nhost: a",
        `POST /v1/messages HTTP/1.1\r\nhost: a\r\nx-api-key: ${modelToken}\r\ncontent-type: application/json\r\ncontent-length: 2`,
      ],
      methods,
      targets: [
        "/",
        "/v1/messages",
        "/v1/messages?beta=true",
        "/v1/messages/count_tokens",
        "/v1/models",
        "a:1",
        "*",
        "/v1/messages?\xe9",
      ],
      headers: [
        ...common,
        socket,
        `x-api-key: ${modelToken}`,
        `authorization: Bearer ${modelToken}`,
        "anthropic-beta: a",
      ],
      bodies: [...bodies, '{"model":"m","messages":[],"stream":true}', "[".repeat(2000)],
    },
  }),
  "egress proxy": () => ({ at: { path: join(berth.hostDir, "run", userId, "egress.sock") }, words: ofProxy }),
  forwarder: () => ({ at: { host: "127.0.0.1", port: 3128 }, words: ofProxy }),
};
/** Names that are refused, or are none. */
const ofProxy: Words = {
  heads: [
    "CONNECT refused.example:443 HTTP/1.1\r\nhost: a",
    "GET http://refused.example/ HTTP/1.1\r\nhost: a",
    "CONNECT a.internal:80 HTTP/1.1\r\nhost: a",
  ],
  methods: ["CONNECT", "CONNECT", ...methods],
  targets: [
    "refused.example:443",
    "http://refused.example/",
    "127.0.0.1:1",
    "http://[::1]/",
    "x:99999",
    "http://x:y@z/",
    "https://a/",
    ":",
    "*",
  ],
  headers: [...common, socket, "proxy-authorization: Basic eDp5", "proxy-connection: keep-alive"],
  bodies: [...bodies, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
};

test.each(Object.keys(targets).flatMap((name) => seeds.map((seed) => [name, seed] as const)))(
  "raw input at the %s leaves all as it was: BERTH_TEST_SEED=%i",
  async (name, seed) => {
    const pids = [berth.gateway.pid, berth.host.pid];
    const before = descriptors();
    const { at, words } = targets[name]!();
    await (name === "forwarder" ? throwInside(at, words, seed) : throwRawInput(at, words, seed, connections));
    for (const pid of pids) expect(() => process.kill(pid, 0)).not.toThrow();
    const { run } = await bob.runToEnd(agent.id, "curl -sS -m 20 -o /dev/null -w %{http_code} http://refused.example/");
    expect(run).toMatchObject({ status: "completed", result: "403" });
    for (const daemon of [berth.gateway, berth.host]) {
      expect(daemon.memoryBytes() / 1e6).toBeLessThan(mostMb);
      expect(daemon.log().match(/^.*"level":"error".*$/gm) ?? []).toEqual([]);
    }
    await until(() => descriptors() <= before + 30, "descriptors are given back", 30_000);
  },
);

const descriptors = () => berth.gateway.descriptors() + berth.host.descriptors();

/** From within the network of bob's container, which nothing else reaches. */
async function throwInside(at: NetConnectOpts, words: Words, seed: number): Promise<void> {
  const [{ pid } = { pid: 0 }] = await berth.processes(userId);
  const file = new URL("harness/raw-input.ts", import.meta.url);
  const call = [at, words, seed, connections].map((value) => JSON.stringify(value)).join();
  const script = `const { throwRawInput } = await import(${JSON.stringify(file.href)}); await throwRawInput(${call});`;
  const node = [process.execPath, "--input-type=module", "-e", script];
  await promisify(execFile)("nsenter", ["-t", String(pid), "-n", ...node], { timeout: 120_000 });
}
