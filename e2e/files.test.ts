import { createHash, randomBytes } from "node:crypto";
import { request } from "node:http";
import { once } from "node:events";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readlinkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { DirectoryListing } from "@berth/shared/files";
import type { Agent } from "@berth/shared/resources";
import { type Client } from "./harness/client.ts";
import { until } from "../gateway/test/wait.ts";
import { type Berth, startBerth, userIdOf } from "./harness/harness.ts";

const diskBytes = 512 * 2 ** 20;
const transferGid = 19_003;
const memoryLimit = 150 * 2 ** 20;

let berth: Berth;
let alice: Client;
let agent: Agent;
beforeAll(async () => {
  berth = await startBerth({ BERTH_IDLE_SECONDS: "600", BERTH_DISK_BYTES: String(2 ** 30) });
  alice = await berth.client("alice");
  agent = await alice.createAgent("files", { runtime: "shell" });
});
afterAll(() => berth?.close());

/** A call for raw bytes; the path is sent as it is written. */
async function raw(
  method: string,
  path: string,
  options: { body?: BodyInit; headers?: Record<string, string>; of?: Agent; client?: Client } = {},
) {
  const { body, headers = {}, of = agent, client = alice } = options;
  const init = {
    method,
    headers: { authorization: `Bearer ${client.token}`, ...headers },
    ...(body !== undefined && { body, duplex: "half" }),
  };
  return fetch(`${client.url}/v1/agents/${of.id}/files/${path}`, init);
}
const codeOf = async (answer: Response) => `${answer.status} ${((await answer.json()) as { code: string }).code}`;
const refusal = async (...call: Parameters<typeof raw>) => codeOf(await raw(...call));
const list = async (path: string, of = agent) => (await (await raw("GET", path, { of })).json()) as DirectoryListing;
const namesIn = async (path: string) => (await list(path)).entries.map(({ name }) => name);
const run = async (script: string, of = agent) =>
  expect((await alice.runToEnd(of.id, script)).run).toMatchObject({ status: "completed" });

describe("a file", () => {
  test("comes back byte for byte, as a download that no browser takes for a page", async () => {
    const bytes = randomBytes(300_000);
    const put = await raw("PUT", "a/b/page.html", { body: bytes });
    expect(put.status).toBe(200);
    expect(await put.json()).toEqual({
      path: "a/b/page.html",
      type: "file",
      size: 300_000,
      modifiedAt: expect.any(String),
    });
    const got = await raw("GET", "a/b/page.html");
    expect(Buffer.from(await got.arrayBuffer()).equals(bytes)).toBe(true);
    expect(Object.fromEntries(got.headers)).toMatchObject({
      "content-type": "application/octet-stream",
      "content-length": "300000",
      "content-disposition": `attachment; filename="page.html"; filename*=UTF-8''page.html`,
      "x-content-type-options": "nosniff",
      etag: put.headers.get("etag"),
    });
    expect(await list("a")).toMatchObject({
      path: "a",
      type: "directory",
      truncated: false,
      entries: [{ name: "b", type: "directory" }],
    });
    const head = await raw("HEAD", "a/b/page.html");
    expect([head.status, head.headers.get("content-length")]).toEqual([200, "300000"]);
  });

  test("give a part for a Range, all of it where it has changed since, and say where there is no such part", async () => {
    const etag = (await raw("PUT", "part.txt", { body: "0123456789" })).headers.get("etag")!;
    const ask = async (range: string, ifRange?: string) => {
      const got = await raw("GET", "part.txt", { headers: { range, ...(ifRange && { "if-range": ifRange }) } });
      return [got.status, got.headers.get("content-range"), got.headers.get("content-length"), await got.text()];
    };
    expect(await ask("bytes=2-4")).toEqual([206, "bytes 2-4/10", "3", "234"]);
    expect(await ask("bytes=7-")).toEqual([206, "bytes 7-9/10", "3", "789"]);
    expect(await ask("bytes=-2")).toEqual([206, "bytes 8-9/10", "2", "89"]);
    expect(await ask("bytes=8-99", etag)).toEqual([206, "bytes 8-9/10", "2", "89"]);
    expect(await ask("bytes=0-")).toEqual([206, "bytes 0-9/10", "10", "0123456789"]);
    expect(await ask("bytes=10-")).toEqual([416, "bytes */10", "0", ""]);
    for (const whole of ["bytes=2-1", "bytes=0-1,4-5", "lines=1-2"])
      expect(await ask(whole)).toEqual([200, null, "10", "0123456789"]);
    expect(await ask("bytes=2-4", '"another"')).toEqual([200, null, "10", "0123456789"]);
    const head = await raw("HEAD", "part.txt", { headers: { range: "bytes=2-4" } });
    expect([head.status, head.headers.get("content-length"), head.headers.get("accept-ranges")]).toEqual([
      200,
      "10",
      "bytes",
    ]);
  });

  test.each([
    "two words",
    `'"\`$(x)\\`,
    "line\nbreak\ttab",
    "🙂 ünï",
    "-rf",
    "%41",
    "a+b&c=d?e#f;g",
    "con:trol\u0001",
    "x".repeat(255),
  ])("may be named %j", async (name) => {
    const path = `names/${encodeURIComponent(name)}`;
    expect((await raw("PUT", path, { body: name })).status).toBe(200);
    expect(await namesIn("names")).toContain(name);
    const got = await raw("GET", path);
    expect(await got.text()).toBe(name);
    expect(decodeURIComponent(got.headers.get("content-disposition")!.split("''")[1]!)).toBe(name);
    expect((await raw("DELETE", path)).status).toBe(204);
    expect(await refusal("GET", path)).toBe("404 not_found");
  });

  test("whose name is not UTF-8 is listed with the segment that stands for it", async () => {
    expect((await raw("PUT", "odd/a%FFb", { body: "odd" })).status).toBe(200);
    expect((await list("odd")).entries).toMatchObject([{ name: "a\uFFFDb", encodedName: "%61%FF%62" }]);
    expect(await (await raw("GET", "odd/%61%FF%62")).text()).toBe("odd");
    expect((await raw("DELETE", "odd/%61%FF%62")).status).toBe(204);
    expect(await namesIn("odd")).toEqual([]);
  });

  test("is replaced whole, keeps its mode, and is guarded by its ETag", async () => {
    const first = await raw("PUT", "script.sh", { body: "#!/bin/sh\necho one\n", headers: { "if-none-match": "*" } });
    await run("chmod 750 script.sh");
    const etag = first.headers.get("etag")!;
    expect(await refusal("PUT", "script.sh", { body: "x", headers: { "if-none-match": "*" } })).toBe("409 conflict");
    expect(
      (await raw("PUT", "script.sh", { body: "#!/bin/sh\necho two\n", headers: { "if-match": etag } })).status,
    ).toBe(200);
    expect(await refusal("PUT", "script.sh", { body: "x", headers: { "if-match": etag } })).toBe("409 conflict");
    await run('[ "$(./script.sh)" = two ] && [ "$(stat -c %a script.sh)" = 750 ]');
  });

  test("is not touched by an upload that breaks off", async () => {
    await raw("PUT", "kept", { body: "kept" });
    const sent = request(`${alice.url}/v1/agents/${agent.id}/files/kept`, {
      method: "PUT",
      headers: { authorization: `Bearer ${alice.token}`, "content-length": "1000000" },
    });
    sent.on("error", () => undefined);
    sent.write(Buffer.alloc(100_000));
    const userId = await userIdOf(alice);
    const transfers = async () => (await berth.processes(userId)).filter(({ gid }) => gid === transferGid).length;
    await until(async () => (await transfers()) === 1, "the upload is on");
    sent.destroy();
    await until(async () => (await transfers()) === 0, "the upload has ended");
    expect(await (await raw("GET", "kept")).text()).toBe("kept");
    expect((await namesIn("")).filter((name) => name.startsWith(".berth-"))).toEqual([]);
  });

  test("of 300 MB passes both ways while neither process grows over 150 MB", async () => {
    const piece = randomBytes(2 ** 20);
    const sent = createHash("sha256");
    const body = Readable.from(
      (function* pieces() {
        for (let at = 0; at < 300; at++) {
          piece.writeUInt32BE(at);
          sent.update(piece);
          yield Buffer.from(piece);
        }
      })(),
    );
    const watch = watchMemory();
    expect((await raw("PUT", "big", { body: Readable.toWeb(body) as ReadableStream })).status).toBe(200);
    const got = createHash("sha256");
    for await (const chunk of (await raw("GET", "big")).body!) got.update(chunk);
    expect(got.digest("hex")).toBe(sent.digest("hex"));
    expect(Math.max(...watch.stop())).toBeLessThan(memoryLimit);
  });

  test("that a client stops taking costs no memory, and ends with its client", async () => {
    const userId = await userIdOf(alice);
    const watch = watchMemory();
    const got = request(`${alice.url}/v1/agents/${agent.id}/files/big`, {
      headers: { authorization: `Bearer ${alice.token}` },
    }).end();
    const [answer] = await once(got, "response");
    answer.pause();
    // All buffers on the way are full once what the program has sent stays the same.
    const program = (
      await until(
        async () => (await berth.processes(userId)).find(({ gid }) => gid === transferGid),
        "the transfer is on",
      )
    ).pid;
    const written = () =>
      /^pos:\s+(\d+)/m.exec(readFileSync(`/proc/${program}/fdinfo/${openFile(program)}`, "utf8"))![1]!;
    let before = "";
    await until(() => before === (before = written()) && Number(before) > 0, "the transfer stands still");
    expect(Number(before)).toBeLessThan(100 * 2 ** 20);
    got.destroy();
    await until(
      async () => (await berth.processes(userId)).every(({ gid }) => gid !== transferGid),
      "the transfer has ended",
    );
    expect(Math.max(...watch.stop())).toBeLessThan(memoryLimit);
  });

  test("over 1 GiB is refused before it is sent", async () => {
    const sent = request(`${alice.url}/v1/agents/${agent.id}/files/huge`, {
      method: "PUT",
      headers: { authorization: `Bearer ${alice.token}`, "content-length": String(2 ** 30 + 1) },
    });
    sent.on("error", () => undefined);
    sent.write("x");
    const [answer] = await once(sent, "response");
    expect(answer.statusCode).toBe(413);
    sent.destroy();
  });
});

describe("a path", () => {
  test.each([
    "/etc/passwd",
    "a//b",
    "%2e%2e%2fx",
    "..%2f..%2fetc",
    "a/%2e%2e%2f%2e%2e%2f/b",
    "%2fetc%2fpasswd",
    "nul%00",
    "%zz",
    "%c",
    "x/".repeat(2100) + "x",
  ])("%j is refused", async (path) => {
    for (const method of ["GET", "PUT", "DELETE"]) expect(await refusal(method, path)).toBe("400 invalid_request");
  });

  test("with .. in it is resolved before it arrives, and reaches no more than its address says", async () => {
    const sent = request({
      host: "127.0.0.1",
      port: new URL(alice.url).port,
      path: `/v1/agents/${agent.id}/files/../../../../etc/passwd`,
      headers: { authorization: `Bearer ${alice.token}` },
    }).end();
    const [answer] = await once(sent, "response");
    expect(answer.statusCode).toBe(404);
    sent.destroy();
  });

  test("through a link ends at the workspace's border, where the kernel's leave ends, and in no circle", async () => {
    const other = await alice.createAgent("other", { runtime: "shell" });
    await raw("PUT", "secret", { of: other, body: "secret" });
    await run(`mkdir -p links && cd links && ln -sfn / root && ln -sfn /etc/passwd passwd && ln -sfn ../../agent-${other.id} other && ln -sfn loop loop &&
      ln -sfn ../links/plain in && echo plain >plain && ln -sfn /proc/self/environ environ && mkfifo -m 600 pipe && ln -sfn nowhere/x broken`);
    for (const path of ["root/", "root/etc/passwd", "passwd", "environ"])
      expect(await refusal("GET", `links/${path}`)).toBe("403 forbidden");
    for (const path of ["other/", "other/secret"]) expect(await refusal("GET", `links/${path}`)).toBe("403 forbidden");
    for (const path of ["root/tmp/x", "other/x", "passwd"])
      expect(await refusal("PUT", `links/${path}`, { body: "x" })).toBe("403 forbidden");
    for (const path of ["root/etc/passwd", "other/secret"])
      expect(await refusal("DELETE", `links/${path}`)).toBe("403 forbidden");
    expect(await refusal("GET", "links/loop")).toBe("409 conflict");
    expect(await refusal("GET", "links/pipe")).toBe("409 conflict");
    expect(await refusal("GET", "links/broken")).toBe("404 not_found");
    expect((await raw("PUT", "links/in", { body: "through" })).status).toBe(200);
    expect(await (await raw("GET", "links/plain")).text()).toBe("through");
    expect((await list("links")).entries.map(({ name, type }) => `${name} ${type}`)).toContain("root link");
    expect((await raw("DELETE", "links")).status).toBe(204);
    expect(await (await raw("GET", "secret", { of: other })).text()).toBe("secret");
  });

  test("says what is there instead", async () => {
    await raw("PUT", "taken/file", { body: "x" });
    expect(await refusal("PUT", "taken", { body: "x" })).toBe("409 conflict");
    expect(await refusal("PUT", "", { body: "x" })).toBe("409 conflict");
    expect(await refusal("PUT", "taken/file/x", { body: "x" })).toBe("409 conflict");
    expect(await refusal("PUT", "taken/file/")).toBe("409 conflict");
    expect(await refusal("GET", "taken/file?download=tar")).toBe("409 conflict");
    expect(await refusal("GET", "taken?download=rar")).toBe("400 invalid_request");
    expect(await refusal("DELETE", "")).toBe("409 conflict");
    expect(await refusal("DELETE", "taken/none")).toBe("404 not_found");
  });

  test("of another user's agent, and of none, is not found, and leaves no trace", async () => {
    const bob = await berth.client("bob");
    for (const method of ["GET", "PUT", "DELETE"]) {
      const foreign = await raw(method, "taken/file", { client: bob });
      const missing = await raw(method, "taken/file", { client: bob, of: { ...agent, id: "agt_none" } });
      const [one, two] = [await foreign.text(), await missing.text()].map((text) =>
        text.replace(/"requestId":"[^"]*"/, ""),
      );
      expect([foreign.status, missing.status, one]).toEqual([404, 404, two]);
    }
    expect((await alice.workspace()).status).toBe("running");
    expect((await bob.workspace()).status).toBe("absent");
  });
});

describe("a directory", () => {
  test("is made with those on the way, once or twice, and removed however deep or locked it is", async () => {
    for (let at = 0; at < 2; at++)
      expect(await (await raw("PUT", "new/inner/")).json()).toMatchObject({ path: "new/inner", type: "directory" });
    expect((await raw("PUT", "new/other?type=directory")).status).toBe(200);
    expect(await namesIn("new")).toEqual(["inner", "other"]);
    await run(`cd new && mkdir locked && touch locked/x && chmod 000 locked && python3 -c "
import os
for _ in range(3000): os.mkdir('deep'); os.chdir('deep')"`);
    expect((await raw("DELETE", "new")).status).toBe(204);
    expect(await namesIn("")).not.toContain("new");
  });

  test("of 20,000 entries is listed as far as 10,000, and says so", async () => {
    await run("mkdir many && cd many && seq 20000 | xargs touch");
    const { entries, truncated } = await list("many");
    expect([entries.length, truncated]).toEqual([10_000, true]);
    expect((await raw("DELETE", "many")).status).toBe(204);
  });

  test.each(["tar", "zip"])("comes as a %s with all that is in it", async (format) => {
    await run(
      "mkdir -p pack/sub pack/empty && cd pack && echo one >one && printf 'x%.0s' $(seq 100000) >sub/big && ln -sfn ../secret link && echo u >'ü 🙂' && chmod 750 one && [ -e pipe ] || mkfifo pipe; echo no >locked; chmod 000 locked",
    );
    const answer = await raw("GET", `pack?download=${format}`);
    expect(answer.headers.get("content-disposition")).toContain(`filename="pack.${format}"`);
    const dir = mkdtempSync(join(tmpdir(), "berth-archive-"));
    try {
      writeFileSync(join(dir, "archive"), Buffer.from(await answer.arrayBuffer()));
      const program = format === "tar" ? ["tar", "xf", "archive"] : ["python3", "-m", "zipfile", "-e", "archive", "."];
      expect(spawnSync(program[0]!, program.slice(1), { cwd: dir }).status).toBe(0);
      expect(readFileSync(join(dir, "pack/one"), "utf8")).toBe("one\n");
      expect(readFileSync(join(dir, "pack/sub/big"), "utf8")).toBe("x".repeat(100_000));
      expect(readFileSync(join(dir, "pack/ü 🙂"), "utf8")).toBe("u\n");
      expect(readFileSync(join(dir, "pack/UNREADABLE.txt"), "utf8")).toContain("pack/locked");
      // Python's unpacker writes a link as a file with its target.
      expect(
        format === "tar" ? readlinkSync(join(dir, "pack/link")) : readFileSync(join(dir, "pack/link"), "utf8"),
      ).toBe("../secret");
      expect(spawnSync("find", [join(dir, "pack"), "-name", "pipe"], { encoding: "utf8" }).stdout).toBe("");
      expect(
        spawnSync("find", [join(dir, "pack"), "-name", "empty", "-type", "d"], { encoding: "utf8" }).stdout,
      ).not.toBe("");
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

test("80 calls leave no descriptor at the host agent and no process in the container", async () => {
  const userId = await userIdOf(alice);
  await list("");
  const before = berth.host.descriptors();
  for (let at = 0; at < 80; at++) {
    const answer = await raw("GET", at % 2 ? "" : "script.sh");
    expect(answer.status).toBe(200);
    await answer.arrayBuffer();
  }
  expect((await berth.processes(userId)).filter(({ gid }) => gid === transferGid)).toEqual([]);
  await until(() => berth.host.descriptors() <= before + 3, "the descriptors are closed");
});

describe("a full disk", () => {
  let small: Berth;
  let client: Client;
  let full: Agent;
  beforeAll(async () => {
    small = await startBerth({ BERTH_IDLE_SECONDS: "600", BERTH_DISK_BYTES: String(diskBytes / 8) });
    client = await small.client("alice");
    full = await client.createAgent("full", { runtime: "shell" });
  });
  afterAll(() => small?.close());
  const at = (method: string, path: string, body?: BodyInit) =>
    raw(method, path, { client, of: full, ...(body !== undefined && { body }) });

  test("refuses an upload, declared or not, and keeps nothing of it; list, download and delete still work", async () => {
    expect((await at("PUT", "first", "first")).status).toBe(200);
    expect((await at("PUT", "tree/leaf", "leaf")).status).toBe(200);
    await client.runToEnd(full.id, "cat /dev/zero >fill; true");
    expect(await codeOf(await at("PUT", "declared", Buffer.alloc(8 * 2 ** 20)))).toBe("409 conflict");
    const stream = Readable.toWeb(
      Readable.from(Array.from({ length: 8 }, () => Buffer.alloc(2 ** 20))),
    ) as ReadableStream;
    const refused = (await (await at("PUT", "streamed", stream)).json()) as { code: string; detail: string };
    expect(refused).toMatchObject({ code: "conflict", detail: expect.stringContaining("disk is full") });
    const listing = (await (await at("GET", "")).json()) as DirectoryListing;
    expect(
      listing.entries.map(({ name }) => name).filter((name) => !/^\.(bash|berth|tmp|claude|env)/.test(name)),
    ).toEqual(["fill", "first", "tree"]);
    expect(await (await at("GET", "first")).text()).toBe("first");
    expect((await at("DELETE", "tree")).status).toBe(204);
    expect((await at("DELETE", "fill")).status).toBe(204);
    expect((await at("PUT", "declared", Buffer.alloc(8 * 2 ** 20))).status).toBe(200);
  });
});

/** Gathers the resident memory of both processes until it is stopped, or the test ends. */
function watchMemory(): { stop(): number[] } {
  const seen: number[] = [];
  const timer = setInterval(() => seen.push(berth.gateway.memoryBytes(), berth.host.memoryBytes()), 50);
  onTestFinished(() => clearInterval(timer));
  return {
    stop() {
      clearInterval(timer);
      return seen;
    },
  };
}

/** The descriptor of the file that the program sends. */
function openFile(pid: number): string {
  for (const fd of ["3", "4", "5", "6", "7", "8"]) if (readlinkOr(`/proc/${pid}/fd/${fd}`).endsWith("/big")) return fd;
  return "0";
}

function readlinkOr(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
