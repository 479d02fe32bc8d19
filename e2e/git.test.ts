/** Credentials that never enter: real git, LFS and programs in a workspace, a forge and an API behind TLS, and a look at all that is inside. */
import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Agent } from "@berth/shared/resources";
import { apiValue, forgeToken, forgeUser } from "../host-agent/test/forge.ts";
import { startTlsServers, tlsHosts, type TlsServers } from "../host-agent/test/tls-servers.ts";
import { until } from "../gateway/test/wait.ts";
import type { Client } from "./harness/client.ts";
import { type Berth, startBerth, userIdOf } from "./harness/harness.ts";

const { forge, api } = tlsHosts;
const secret = "http://tracker.secret.berth.internal";
let servers: TlsServers;
let berth: Berth;
let alice: Client;
let eve: Client;
let agent: Agent;

beforeAll(async () => {
  servers = await startTlsServers();
  berth = await startBerth({
    BERTH_IDLE_SECONDS: "600",
    BERTH_EGRESS_ALLOW: api,
    TLS_PORTS: `${servers.httpsPort},${servers.httpPort}`,
    NODE_EXTRA_CA_CERTS: servers.caPath,
  });
  await berth.host.kill("SIGTERM");
  await berth.host.start({}, join(import.meta.dirname, "hosts/egress-host.ts"));
  alice = await berth.client("alice");
  eve = await berth.client("eve");
  await until(async () => (await alice.call("GET", "/readyz")).status === 200, "the host is live again");
  agent = await alice.createAgent("git", { runtime: "shell" });
});
afterAll(async () => {
  await berth?.close();
  await servers?.close();
});

/** Runs a script; what it printed, both streams. */
async function sh(script: string, [client, of] = [alice, agent]): Promise<string> {
  const { run } = await client.runToEnd(of.id, `exec 2>&1; ${script}`);
  return run.result!.trim();
}
const credential = (more: object = {}) =>
  alice.call("PUT", `/v1/git-credentials/${forge}`, { username: forgeUser, token: forgeToken, ...more });
const pull = (base?: string) =>
  alice.call("POST", `/v1/agents/${agent.id}/pull-requests`, { title: "Mend it", body: "All of it.", base });

describe("a credential for git", () => {
  test("is kept, shown without its token, and audited", async () => {
    const none = await alice.call("GET", "/v1/git-credentials");
    expect([none.status, none.body]).toEqual([200, { items: [], nextCursor: null }]);
    expect((await alice.call("DELETE", `/v1/git-credentials/${forge}`)).status).toBe(404);
    const kept = await credential();
    const shown = { host: forge, username: forgeUser, readOnly: false, repositories: null, forge: null };
    expect([kept.status, kept.body]).toEqual([200, { ...shown, createdAt: expect.any(String), lastUsedAt: null }]);
    expect((await alice.call("GET", "/v1/git-credentials")).body).toMatchObject({ items: [shown] });
    const short = await alice.call("PUT", "/v1/git-credentials/nowhere", { username: "x", token: "short" });
    expect(short.status).toBe(400);
    const boss = await berth.client("boss", { admin: true });
    const { items } = await boss.ok<{ items: object[] }>("GET", "/v1/admin/audit");
    expect(items).toContainEqual(
      expect.objectContaining({ action: "git_credential.set", target: { id: forge, name: null }, detail: {} }),
    );
  });

  test("clones with a submodule, pushes, and opens a pull request", async () => {
    expect(
      await sh(`git init -q && git remote add origin https://${forge}/team/app.git && git fetch -q && git checkout -q main &&
      git submodule --quiet update --init && cat lib/README.md`),
    ).toBe("lib");
    expect(
      await sh(`git checkout -q -b 고침 && echo 안녕 >인사.txt && git add 인사.txt && git status --short -uno && git commit -q -m greet &&
      git push -q origin HEAD`),
    ).toBe("A  인사.txt");
    const { status, body } = await pull();
    expect([status, body]).toEqual([201, { url: `https://${forge}/team/app/pulls/1`, number: 1 }]);
    expect(servers.forge.pulls).toEqual([{ title: "Mend it", body: "All of it.", head: "고침", base: "main" }]);
    const refused = await pull("nowhere");
    expect([refused.status, refused.body]).toEqual([
      409,
      expect.objectContaining({
        detail: expect.stringMatching(/^forge\.berth\.test does not find it \(no branch nowhere for Basic \*+\): /),
      }),
    ]);
    const { promise: isLetGo, resolve: letGo } = Promise.withResolvers<void>();
    servers.forge.gate = isLetGo;
    const statuses: number[] = [];
    const atOnce = ["nowhere", "nowhere", "nowhere"].map(async (base) => statuses.push((await pull(base)).status));
    await until(() => statuses.length === 2, "two are refused while the forge has not answered").finally(letGo);
    await Promise.all(atOnce);
    expect(statuses).toEqual([429, 429, 409]);
    expect((await alice.call("GET", "/v1/git-credentials")).body).toMatchObject({
      items: [{ lastUsedAt: expect.any(String) }],
    });
  });

  test("carries what LFS keeps, both ways", async () => {
    const out =
      await sh(`git clone -q https://${forge}/team/other.git big && cd big && git lfs track '*.bin' >/dev/null &&
      head -c 100000 /dev/zero >a.bin && git add . && git commit -q -m big && git push -q origin HEAD &&
      git cat-file -p HEAD:a.bin | head -1 && cd .. && git clone -q https://${forge}/team/other.git again && stat -c %s again/a.bin`);
    // Before that, how far it is, if it takes a while.
    expect(out.split("\n").slice(-2)).toEqual(["version https://git-lfs.github.com/spec/v1", "100000"]);
  });

  test("is of no use to another user's agent", async () => {
    const other = await eve.createAgent("git", { runtime: "shell" });
    expect(await sh(`git ls-remote http://${forge}.git.berth.internal/team/app.git`, [eve, other])).toContain(
      `you have no credential for git at ${forge}`,
    );
    expect(await sh(`curl -sS ${secret}/x`, [eve, other])).toContain("you have no secret tracker");
  });

  test("is cut by its removal in the midst of a clone and of a push, and git says so", async () => {
    await credential();
    await sh(`git clone -q https://${forge}/team/big.git more && cd more && head -c 3M /dev/urandom >more.bin &&
      git add . && git commit -q -m more`);
    const slow = `https://${forge}/slow/team/big.git`;
    for (const command of [`git clone ${slow} slow`, `git -C more push ${slow} HEAD:refs/heads/more`]) {
      const calls = servers.forge.slow.length;
      const run = await alice.send(agent.id, `${command} 2>&1; date +%s%3N`);
      await until(() => servers.forge.slow.length > calls, "it is in the midst of it");
      await alice.ok("DELETE", `/v1/git-credentials/${forge}`);
      const removedAt = Date.now();
      const said = (await alice.finish(run.id)).run.result!.trim().split("\n");
      // What stands still ends by nothing else in that time; it is no measure of speed.
      expect(Number(said.pop()) - removedAt).toBeLessThan(10_000);
      expect(said.join("\n")).toMatch(/^(error|fatal): /m);
      await until(() => !servers.forge.slow.at(-1)!.isOpen, "the forge sees it end");
      await credential();
    }
    expect(await sh(`git ls-remote https://${forge}/team/big.git`)).not.toContain("more");
  });

  test("opens pull requests at GitHub and GitLab, into the default branch where none is named, and says in a sentence why not", async () => {
    for (const host of [tlsHosts.github, tlsHosts.gitlab]) {
      await alice.ok("PUT", `/v1/git-credentials/${host}`, { username: forgeUser, token: forgeToken });
      await alice.ok("PATCH", `/v1/agents/${agent.id}`, { directory: host });
      const branch = host.replace(".", "-");
      await sh(
        `git clone -q git@${host}:team/app.git . && git checkout -q -b ${branch} && git commit -q --allow-empty -m x`,
      );
      const early = await pull();
      expect([early.status, early.body]).toEqual([
        409,
        expect.objectContaining({
          detail: expect.stringMatching(/^\w+\.com says: [^.]*(head: invalid|does not exist)\.$/),
        }),
      ]);
      await sh("git push -q origin HEAD");
      const { status, body } = await pull();
      expect([status, body]).toEqual([201, { url: expect.stringMatching(`^https://${host}/team/app/`), number: 1 }]);
      expect((await pull()).body).toMatchObject({
        detail: expect.stringMatching(
          / (already exists for team:github-com|already exists for this source branch: !1)\.$/,
        ),
      });
    }
    await alice.ok("PATCH", `/v1/agents/${agent.id}`, { directory: null });
  });

  test("ends with its removal, and of being read-only pushes no more", async () => {
    await credential({ readOnly: true });
    expect(await sh("git push origin HEAD:refs/heads/no")).toContain("is read-only");
    expect((await pull()).body).toMatchObject({ detail: `Your credential for ${forge} is read-only.` });
    await alice.ok("DELETE", `/v1/git-credentials/${forge}`);
    expect(await sh(`git ls-remote http://${forge}.git.berth.internal/team/app.git`)).toContain(
      "you have no credential",
    );
    await credential();
  });
});

describe("a secret", () => {
  test("is used by curl, Python and Node alike, and seen by none", async () => {
    const put = await alice.call("PUT", "/v1/secrets/tracker", { value: apiValue, hosts: [api] });
    expect([put.status, JSON.stringify(put.body)]).toEqual([200, expect.not.stringContaining(apiValue)]);
    const out = await sh(`curl -sS ${secret}/v1/curl; echo
      python3 -c 'import urllib.request as u; print(u.urlopen("${secret}/v1/python").read().decode())'
      node -e 'fetch("${secret}/v1/node").then((r) => r.text()).then(console.log)'`);
    expect(out.split("\n").map((line) => line.split(" ").slice(0, 3).join(" "))).toEqual(
      ["curl", "python", "node"].map((name) => `true GET /v1/${name}`),
    );
    expect(out).not.toContain(apiValue);
  });

  test("is revoked under a call that would go on for ever", async () => {
    const run = await alice.send(agent.id, `curl -sSN ${secret}/stream; echo ended $?`);
    await alice.firstLine(run.id);
    const since = performance.now();
    await alice.ok("DELETE", "/v1/secrets/tracker");
    const { run: ended } = await alice.finish(run.id);
    expect(Date.parse(ended.endedAt!)).toBeGreaterThan(0);
    expect(performance.now() - since).toBeLessThan(10_000);
    expect(ended.result).toMatch(/ended [1-9]/);
    await alice.ok("PUT", "/v1/secrets/tracker", { value: apiValue, hosts: [api] });
  });
});

/** What would give one of the values away. */
const traces = [forgeToken, apiValue, btoa(`${forgeUser}:${forgeToken}`), btoa(apiValue)].map((text) =>
  Buffer.from(text),
);
const marker = Buffer.from("true GET /v1/held-in-memory");

/** All that a process has in memory and may be read, in pieces that overlap. */
function* memoryOf(pid: number): Generator<Buffer> {
  const memory = openSync(`/proc/${pid}/mem`, "r");
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, "utf8").split("\n")) {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) r.*(?<!\[vvar\]|\[vsyscall\])$/.exec(line) ?? [];
      if (from === undefined || to === undefined || line.includes("[v")) continue;
      const end = BigInt(`0x${to}`);
      const piece = Buffer.alloc(4 * 2 ** 20);
      for (let at = BigInt(`0x${from}`); at < end; at += BigInt(piece.length - 4096)) {
        const length = Number(end - at < BigInt(piece.length) ? end - at : BigInt(piece.length));
        try {
          yield piece.subarray(0, readSync(memory, piece, 0, length, at));
        } catch {
          break;
        }
      }
    }
  } finally {
    closeSync(memory);
  }
}

function* filesBelow(directory: string): Generator<string> {
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && statSync(path).size < 2 ** 28) yield path;
  }
}

test("nothing inside has a value: environment, files, memory of every process, logs, reports, both databases", async () => {
  const run = await alice.send(
    agent.id,
    `python3 -uc 'import urllib.request as u, time
held = u.urlopen("${secret}/v1/held-in-memory").read()
print("held")
time.sleep(600)'`,
  );
  await alice.firstLine(run.id);
  await sh(":", [alice, await alice.createAgent("beside", { runtime: "shell" })]);
  const found: string[] = [];
  let seesMarker = false;
  const look = (where: string, bytes: Buffer) => {
    seesMarker ||= where.endsWith("mem") && bytes.includes(marker);
    if (traces.some((trace) => bytes.includes(trace))) found.push(where);
  };
  const processes = await berth.processes(await userIdOf(alice));
  expect(processes.length).toBeGreaterThan(3);
  for (const { pid } of processes) {
    for (const name of ["environ", "cmdline"]) look(`${pid} ${name}`, readFileSync(`/proc/${pid}/${name}`));
    for (const piece of memoryOf(pid)) look(`${pid} mem`, piece);
  }
  let files = 0;
  for (const path of filesBelow(berth.dir)) {
    files += 1;
    look(path, readFileSync(path));
  }
  expect([seesMarker, files > 20, found]).toEqual([true, true, []]);
  for (const log of [berth.gateway.log(), berth.host.log()]) look("log", Buffer.from(log));
  expect(found).toEqual([]);
  await alice.call("POST", `/v1/runs/${run.id}/cancel`);
});
