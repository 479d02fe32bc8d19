import { spawn } from "node:child_process";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { problemSchema, httpStatusOf } from "@berth/shared/errors";
import type { Agent } from "@berth/shared/resources";
import { type Environment, variables } from "@berth/shared/settings";
import { bundle, nodeFlags } from "../scripts/build/bundle.ts";
import { badCalls, marker, type OpenApiDocument } from "./harness/bad-input.ts";
import type { Client } from "./harness/client.ts";
import { patienceMs, until } from "../gateway/test/wait.ts";
import { type Berth, startBerth } from "./harness/harness.ts";

let berth: Berth;
let admin: Client;
let alice: Client;
let agent: Agent;
let pids: number[];
beforeAll(async () => {
  berth = await startBerth({ BERTH_IDLE_SECONDS: "600" });
  admin = await berth.client("admin", { admin: true });
  alice = await berth.client("alice");
  agent = await alice.createAgent("shell", { runtime: "shell" });
  pids = [berth.gateway.pid, berth.host.pid];
});
afterAll(() => berth?.close());

/** What is wrong with an answer to bad input; [] when nothing is. */
function faultsOf(status: number, type: string | null, text: string): string[] {
  const faults: string[] = [];
  const parsed = type === "application/problem+json" ? problemSchema.safeParse(JSON.parse(text)) : null;
  if (!parsed?.success) faults.push(`${status} is no problem: ${type} ${text.slice(0, 200)}`);
  else if (httpStatusOf(parsed.data.code) !== status || parsed.data.status !== status)
    faults.push(`${parsed.data.code} with status ${status}`);
  if (status >= 500) faults.push(`status ${status}: ${text.slice(0, 200)}`);
  for (const leak of [marker, "node:internal", "node_modules", ".ts:", ".mjs", "    at ", "SQLITE", berth.dir])
    if (text.includes(leak)) faults.push(`tells ${leak}: ${text.slice(0, 200)}`);
  return faults;
}

/** Sends bytes on a connection of its own and answers all that came back until it closed. */
function sendRaw(bytes: string, { half = false } = {}): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(Number(new URL(berth.url).port), "127.0.0.1");
    socket.setTimeout(5000, () => socket.destroy());
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(text));
    if (half) socket.end(bytes);
    else socket.write(bytes);
  });
}

describe("bad input", () => {
  test("of every kind to every operation of the contract gets the contract's error", async () => {
    const document = await alice.ok<OpenApiDocument>("GET", "/openapi.json");
    const calls = badCalls(document);
    expect(calls.length).toBeGreaterThan(400);
    const wrong: string[] = [];
    const turn = async () => {
      for (let call = calls.pop(); call; call = calls.pop()) {
        const { what, method, path, headers, body, mayFit } = call;
        const answer = await fetch(`${berth.url}${path}`, {
          method,
          headers: { authorization: `Bearer ${admin.token}`, ...headers },
          ...(body !== undefined && { body }),
        });
        const text = await answer.text();
        if (answer.ok && mayFit) continue;
        const faults = faultsOf(answer.status, answer.headers.get("content-type"), text);
        wrong.push(...faults.map((fault) => `${what}: ${fault}`));
      }
    };
    await Promise.all(Array.from({ length: 4 }, turn));
    expect(wrong).toEqual([]);
  });

  test("of another user's ids gets the answer of an absent one, to the byte but for the request id", async () => {
    const run = await alice.runToEnd(agent.id, "true");
    const bob = await berth.client("bob");
    const own = { agt: agent.id, run: run.run.id };
    const calls = [
      ["GET", "/v1/agents/agt"],
      ["PATCH", "/v1/agents/agt", { name: "b" }],
      ["DELETE", "/v1/agents/agt"],
      ["PUT", "/v1/agents/agt/env", { A: "b" }],
      ["POST", "/v1/agents/agt/runs", { prompt: "x" }],
      ["GET", "/v1/runs/run"],
      ["POST", "/v1/runs/run/cancel"],
      ["GET", "/v1/runs/run/events"],
      ["GET", "/v1/runs/run/stderr"],
    ] as const;
    for (const [method, path, body] of calls) {
      const answerTo = async (at: string) => {
        const { status, body: said } = await bob.call(method, at, body);
        return { status, said: { ...said, requestId: "-" } };
      };
      const foreign = await answerTo(path.replace(/\/(agt|run)\b/, (_all, kind: "agt" | "run") => `/${own[kind]}`));
      expect([path, foreign.status]).toEqual([path, 404]);
      expect(foreign).toEqual(await answerTo(path.replace(/\/(agt|run)\b/, "/$1_absent")));
    }
  });

  test("in headers gets the contract's error", async () => {
    const { id } = (await alice.runToEnd(agent.id, "true")).run;
    const events = `/v1/runs/${id}/events`;
    const cases: [string, string, Record<string, string>, unknown?][] = [
      ...["-1", "abc", "1.5", "1e99", marker].map(
        (value) => ["GET", events, { "last-event-id": value }] as [string, string, Record<string, string>],
      ),
      ...["has space", "x".repeat(256), "é"].map(
        (value) =>
          ["POST", `/v1/agents/${agent.id}/runs`, { "idempotency-key": value }, { prompt: "true" }] as [
            string,
            string,
            Record<string, string>,
            unknown,
          ],
      ),
      ...["Bearer", "Bearer a.b.c", `Basic ${marker}`, `Bearer ${"x".repeat(9000)}`].map(
        (authorization) => ["GET", "/v1/me", { authorization }] as [string, string, Record<string, string>],
      ),
    ];
    for (const [method, path, headers, body] of cases) {
      const answer = await alice.call(method, path, body, headers);
      expect([
        headers,
        faultsOf(answer.status, answer.headers.get("content-type"), JSON.stringify(answer.body)),
      ]).toEqual([headers, []]);
    }
  });

  test.each([
    ["garbage", "GARBAGE\r\n\r\n"],
    ["an unknown method", "FROB /v1/me HTTP/1.1\r\nhost: x\r\n\r\n"],
    ["a known method that no route has", "PROPFIND /v1/me HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"],
    ["headers of 100 KB", `GET /v1/me HTTP/1.1\r\nhost: x\r\nx-big: ${"x".repeat(100_000)}\r\n\r\n`],
    ["two lengths", "POST /v1/agents HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello"],
    [
      "length and chunks",
      "POST /v1/agents HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    [
      "bad chunks",
      "POST /session HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
    ],
    ["no host", "GET /v1/me HTTP/1.1\r\nconnection: close\r\n\r\n"],
    ["a bad address", "GET http://[::bad HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"],
    ["a bad host", "GET /v1/me HTTP/1.1\r\nhost: a b/c\r\nconnection: close\r\n\r\n"],
    ["an upgrade to nothing", "GET /v1/me HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"],
    [
      "a socket without a key",
      "GET /v1/connect HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n",
    ],
  ])("as %s on the wire is refused with a problem", async (_name, bytes) => {
    const text = await sendRaw(bytes);
    const [head = "", body = ""] = text.split("\r\n\r\n");
    const status = Number(/^HTTP\/1.1 (\d{3})/.exec(head)?.[1]);
    const type = /^content-type: (.*)$/im.exec(head)?.[1] ?? null;
    expect(status).toBeGreaterThanOrEqual(400);
    expect(faultsOf(status, type, body.replace(/^[0-9a-f]+\r\n|\r\n0$/g, ""))).toEqual([]);
  });

  test("that never comes whole holds nobody else up", async () => {
    const head = `POST /v1/agents HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${alice.token}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{`;
    const halves = Array.from({ length: 50 }, () => sendRaw(head, { half: true }));
    const slow = Array.from({ length: 50 }, () =>
      connect(Number(new URL(berth.url).port), "127.0.0.1").on("error", () => undefined),
    );
    slow.forEach((socket) => socket.write(head));
    expect((await alice.call("GET", "/v1/me")).status).toBe(200);
    slow.forEach((socket) => socket.destroy());
    await Promise.all(halves);
    expect((await alice.call("GET", "/v1/me")).status).toBe(200);
  });

  test("in a socket's frames gets an error frame or ends that socket alone", async () => {
    const [socket, other] = [await alice.connect(), await alice.connect()];
    const texts = [
      "garbage",
      "null",
      "[]",
      '{"type":"subscribe"}',
      '{"type":"shout"}',
      `{"type":"subscribe","runId":"${marker}!"}`,
      '{"type":"subscribe","runId":"run_x","after":-1}',
      "[".repeat(10_000),
    ];
    for (const text of texts) socket.ws.send(text);
    socket.ws.send(Buffer.from([0, 255, 1]));
    socket.ws.send('{"type":"subscribe","runId":"run_absent"}');
    const errors = () => socket.frames.filter((frame) => frame.type === "error");
    await until(() => errors().length === texts.length + 2, "each frame is answered");
    expect(errors().map(({ code }) => code)).toEqual([
      ...Array.from({ length: texts.length + 1 }, () => "invalid_request"),
      "not_found",
    ]);
    expect(JSON.stringify(socket.frames)).not.toContain(marker);
    socket.ws.send("x".repeat(70_000));
    expect(await socket.closed).toBe(1009);
    const raw = await alice.connect();
    (raw.ws as unknown as { _socket: { write(bytes: Buffer): void } })._socket.write(Buffer.from([0xff, 0xff, 0x00]));
    await raw.closed;
    expect(other.ws.readyState).toBe(WebSocket.OPEN);
    await other.close();
  });

  test("has crashed nothing and counts as no defect", async () => {
    expect([berth.gateway.pid, berth.host.pid]).toEqual(pids);
    for (const pid of pids) expect(() => process.kill(pid, 0)).not.toThrow();
    expect(
      berth.gateway
        .log()
        .split("\n")
        .filter((line) => line.includes("http.defect")),
    ).toEqual([]);
    expect(
      berth.host
        .log()
        .split("\n")
        .filter((line) => line.includes('"level":"error"')),
    ).toEqual([]);
    expect((await alice.runToEnd(agent.id, "echo alive")).run.result).toBe("alive\n");
  });
});

describe("a bad setting", () => {
  const candidates = ["abc", "-1", "1e3", "0x10", "9".repeat(30), "ftp://host", "not an address", "x".repeat(101)];
  const bad = Object.entries(variables).map(([name, schema]) => ({
    name,
    values: candidates.filter((value) => !schema.safeParse(value).success).slice(0, 1),
  }));
  const rows: [string, string][] = [
    ...bad.flatMap(({ name, values }) => values.map((value): [string, string] => [name, value])),
    ["BERTH_PROT", "8080"],
    ["BERTH_MEMORY_WARN_BYTES", "9000000000"],
  ];

  test("stops each process with one sentence that names it, and exit code 2", async () => {
    // The others are names and paths, where any text will do.
    expect(bad.filter(({ values }) => values.length > 0).length).toBeGreaterThan(25);
    const files = await bundle("gateway", "host");
    const wrong: unknown[] = [];
    const work = rows.flatMap((row) => [files.gateway, files.host].map((file) => ({ row, file })));
    const turn = async () => {
      for (let job = work.pop(); job; job = work.pop()) {
        const [name, value] = job.row;
        const { code, said } = await run(job.file, { [name]: value });
        if (code !== 2 || !said.includes(name) || !/^[^\n]+\.\n$/.test(said))
          wrong.push([job.file, name, value, code, said]);
      }
    };
    await Promise.all(Array.from({ length: 3 }, turn));
    expect(wrong).toEqual([]);
  });

  test("that names a directory or an address that cannot be had stops the host agent the same way", async () => {
    const { host } = await bundle("host");
    for (const dir of ["/dev/null/host", "/proc/berth/host"]) {
      const { code, said } = await run(host, { BERTH_HOST_DATA_DIR: dir });
      expect([code, said]).toEqual([2, expect.stringMatching(/^The data directory \S+ cannot be used [^\n]+\.\n$/)]);
    }
    await berth.host.kill("SIGTERM");
    const elsewhere = berth.host.start({ BERTH_HOST_LISTEN: "203.0.113.1" });
    await expect(elsewhere).rejects.toThrow(
      /^host ended with 75: [^]*\nThe host agent cannot listen on 203\.0\.113\.1 /,
    );
  });

  function run(file: string, env: Environment): Promise<{ code: number | null; said: string }> {
    const dirs = { BERTH_DATA_DIR: join(berth.dir, "unused"), BERTH_HOST_DATA_DIR: join(berth.dir, "unused-host") };
    const child = spawn(process.execPath, [...nodeFlags, file], {
      env: { PATH: process.env["PATH"], ...dirs, ...env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => (said += String(chunk)));
    const late = setTimeout(() => child.kill("SIGKILL"), patienceMs);
    return new Promise((resolve) => child.once("close", (code) => (clearTimeout(late), resolve({ code, said }))));
  }
});
