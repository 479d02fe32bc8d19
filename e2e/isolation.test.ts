import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Agent, Run } from "@berth/shared/resources";
import { type Client, textOf } from "./harness/client.ts";
import { until } from "../gateway/test/wait.ts";
import { type Berth, startBerth, userIdOf } from "./harness/harness.ts";
import { type ModelEndpoint, startModel } from "./harness/model-endpoint.ts";
import { attackScript, postureScript } from "./harness/attacks.ts";

const providerKey = `sk-canary-${crypto.randomUUID()}`;
const agentUid = 20_000;
let model: ModelEndpoint;
let berth: Berth;
let alice: Client;
let bob: Client;
let a: Agent;
let b: Agent;
let ofBob: Agent;
beforeAll(async () => {
  model = await startModel();
  berth = await startBerth({
    ANTHROPIC_API_KEY: providerKey,
    BERTH_MODEL_URL: model.url,
    BERTH_IDLE_SECONDS: "600",
    BERTH_DISK_BYTES: String(2 ** 27),
  });
  [alice, bob] = [await berth.client("alice"), await berth.client("bob")];
  a = await alice.createAgent("a", { runtime: "shell" });
  b = await alice.createAgent("b", { runtime: "shell" });
  ofBob = await bob.createAgent("c", { runtime: "shell" });
});
afterEach(async () => {
  const { items } = await alice.ok<{ items: Run[] }>("GET", "/v1/runs?status=running");
  for (const run of items) await alice.call("POST", `/v1/runs/${run.id}/cancel`);
});
afterAll(async () => {
  await berth?.close();
  await model?.close();
});

/** What a script printed as a run of this agent, and how the run ended. */
async function sh(client: Client, agent: Agent, script: string): Promise<{ out: string; run: Run }> {
  const { lines, run } = await client.runToEnd(agent.id, script);
  return { out: lines.map(textOf).join("\n"), run };
}
/** What one of the attacks printed. */
async function attackAs(client: Client, agent: Agent, script: string): Promise<Record<string, unknown>> {
  const { out, run } = await sh(client, agent, script);
  if (!out.startsWith("{")) throw new Error(`the attack itself failed: ${run.stderrTail}`);
  return JSON.parse(out) as Record<string, unknown>;
}
/** The first line of a run in progress. */
const firstLine = async (client: Client, runId: string) => textOf((await client.firstLine(runId)).data);
const cancel = (client: Client, run: Run) => client.ok<Run>("POST", `/v1/runs/${run.id}/cancel`);
const commandsOf = async (client: Client, uid?: number) =>
  (await berth.processes(await userIdOf(client)))
    .filter((process) => (uid === undefined ? process.uid >= agentUid : process.uid === uid))
    .map(({ command }) => command);

describe("an agent", () => {
  test("reaches neither files, processes, run files nor the model socket of its neighbour, as it reaches its own", async () => {
    const victim = await alice.send(b.id, "echo kept > secret; chmod 644 secret; echo $$; exec sleep 611");
    const pid = await firstLine(alice, victim.id);
    const attack = (target: string) => attackAs(alice, a, `echo mine > secret\n${attackScript(target)}`);

    const own = await attack(`"$HOME" 0 "$BERTH_RUN_ID" "$BERTH_AGENT_ID"`);
    const { truncate, rename, unlink, link, unseal, memoryByCall, ...reached } = own;
    expect(Object.entries(reached).filter(([, end]) => end !== "done")).toEqual([]);
    expect({ truncate, rename, unlink, link, unseal, memoryByCall }).toEqual({
      truncate: "EPERM",
      rename: "EACCES",
      unlink: "EACCES",
      link: "EXDEV",
      unseal: "EPERM",
      memoryByCall: "EPERM",
    });

    const neighbours = await attack(`/workspace/agent-${b.id} ${pid} ${victim.id} ${b.id}`);
    expect(Object.keys(neighbours)).toEqual(Object.keys(own));
    expect(
      Object.entries(neighbours).filter(([, end]) => !["EACCES", "EPERM", "EXDEV"].includes(end as string)),
    ).toEqual([]);

    const bystanders = await sh(alice, a, "kill -KILL -1; echo not reached");
    expect(bystanders.run.status).toBe("failed");
    expect(await commandsOf(alice)).toEqual([expect.stringContaining("berth-run"), "sleep 611"]);
    expect(await alice.run(victim.id)).toMatchObject({ status: "running" });
    await cancel(alice, victim);
    expect((await sh(alice, b, "cat secret; ls")).out).toBe("kept\nsecret");
  });

  test("sees nothing of another user's agents, not even names", async () => {
    const run = await alice.send(a.id, "echo here > secret; echo up; exec sleep 612");
    await firstLine(alice, run.id);
    const look = `cat /workspace/agent-*/secret; ls /workspace/agent-${a.id} /run/berth/${a.id}.sock /run/berth-runs/${run.id}; ps -eo args`;
    const { out } = await sh(bob, ofBob, `echo bobs > secret; ls -d /workspace/agent-${ofBob.id}; sleep 613 & ${look}`);
    expect(out).toContain(`/workspace/agent-${ofBob.id}`);
    expect(out).toContain("sleep 613");
    expect(out).not.toMatch(new RegExp(`here|sleep 612|${a.id}|${run.id}`));
    await cancel(alice, run);
  });

  test("can pass through the shared directories and list none of them", async () => {
    const { out } = await sh(
      alice,
      a,
      `for d in "$HOME" /workspace/shared /workspace /run/berth /run/berth-runs /proc/1/fd; do
      ls -A $d >/dev/null 2>&1 && echo yes || echo no; done`,
    );
    expect(out.split("\n")).toEqual(["yes", "yes", "no", "no", "no", "no"]);
  });

  test("has no capability, no way to gain one, no network but lo, little to write to, and no word of the machine's disks", async () => {
    const seen = await attackAs(alice, a, postureScript);
    expect(seen).toEqual({
      caps: ["0000000000000000"],
      noNewPrivs: "1",
      seccomp: "2",
      groups: [19_001],
      setuid: [],
      writable: ["/tmp"],
      interfaces: ["lo"],
      routes: 0,
      tmpBytes: expect.any(Number) as number,
      namespaces: "EPERM",
      mount: "EPERM",
      ioUring: "EPERM",
      asynchronousIo: "ENOSYS",
      terminals: 128,
      socketBytes: expect.any(Number) as number,
      sockets: {
        UNIX: "done",
        INET: "done",
        INET6: "done",
        ALG: "EPERM",
        VSOCK: "EPERM",
        TIPC: "EPERM",
        BLUETOOTH: "EPERM",
        CAN: "EPERM",
      },
      commands: { SETLEASE: ["EPERM"], GETLEASE: ["EPERM"], NOTIFY: ["EPERM"], SETDELEG: ["EPERM"], GETFD: ["done"] },
      kinds: {
        TCP: "done",
        UDP: "done",
        MPTCP: expect.stringMatching(/done|EPROTONOSUPPORT/),
        ROUTE: "done",
        DIAG: "done",
        SMC: "EPERM",
        SCTP: "EPERM",
        SEQPACKET: "EPERM",
        DCCP: "EPERM",
        PACKET: "EPERM",
        UDPLITE: "EPERM",
        GENERIC: "EPROTONOSUPPORT",
        XFRM: "EPROTONOSUPPORT",
        AUDIT: "EPROTONOSUPPORT",
      },
      pairs: { 1: "done", 2: "EPERM", 30: "EPERM", 40: "EPERM" },
      told: [],
      rawSocket: "EPERM",
      bind: "EADDRINUSE",
      killForwarder: "EPERM",
    });
    // On the disk, which is the user's own: what an agent puts there takes no memory from the others.
    expect(seen["tmpBytes"]).toBeGreaterThan(32 * 2 ** 20);
    expect(seen["tmpBytes"]).toBeLessThan(2 ** 27);
    // What it left in 600 sockets, of 115 MB: under cgroup v1 that is beside its memory.
    if (existsSync("/sys/fs/cgroup/memory")) expect(seen["socketBytes"]).toBeLessThan(2 ** 26);
  });
});

describe("an agent that takes all it can get", () => {
  const proxyAnswers = "curl -sS -m 10 http://refused.example/ ";
  const worksFor = async (agent: Agent) => {
    const { run } = await alice.runToEnd(agent.id, `demo: run ${proxyAnswers}`);
    expect(run).toMatchObject({ status: "completed" });
    expect(run.result).toContain("Berth refuses refused.example");
  };

  test("with 700 connections to the forwarder leaves its neighbours' network and model alone", async () => {
    const neighbour = await alice.createAgent("talker");
    await worksFor(neighbour);
    const hog = await alice.send(
      a.id,
      `exec python3 -c '
import socket, time
held = [socket.create_connection(("127.0.0.1", 3128)) for _ in range(700)]
print(len(held), flush=True)
time.sleep(600)'`,
    );
    expect(await firstLine(alice, hog.id)).toBe("700");
    await worksFor(neighbour);
    await cancel(alice, hog);
    await alice.ok("DELETE", `/v1/agents/${neighbour.id}`);
  });

  test.each([
    { kind: "closes each", after: "one.close()" },
    { kind: "keeps 900", after: "kept.append(one); len(kept) > 900 and kept.pop(0).close()" },
  ])(
    "with half a request to the forwarder again and again, that $kind, lets each of its neighbours' pass",
    async ({ after }) => {
      const neighbour = await alice.createAgent("asker");
      await worksFor(neighbour);
      const hog = await alice.send(
        a.id,
        `exec python3 -c '
import socket
kept, made = [], 0
while True:
    try:
        one = socket.create_connection(("127.0.0.1", 3128))
        one.send(b"CONNECT github.com:443 HTTP/1.1\\r\\nhost")
        ${after}
    except OSError: continue
    made += 1
    if made == 3000: print("many", flush=True)'`,
      );
      expect(await firstLine(alice, hog.id)).toBe("many");
      const { run } = await alice.runToEnd(
        neighbour.id,
        `demo: run for i in $(seq 8); do ${proxyAnswers}; done | sort | uniq -c`,
      );
      expect(run.result).toMatch(/ 8 Berth refuses refused\.example/);
      await cancel(alice, hog);
      await alice.ok("DELETE", `/v1/agents/${neighbour.id}`);
    },
  );

  test("with a fork bomb leaves its neighbours room to work", async () => {
    const neighbour = await alice.createAgent("worker");
    const bomb = await alice.send(a.id, "bomb() { bomb | bomb & }; bomb; while :; do :; done");
    await until(async () => (await alice.workspace()).pids.current > 200, "the bomb has grown");
    await worksFor(neighbour);
    expect((await cancel(alice, bomb)).status).toBe("cancelled");
    expect(await commandsOf(alice, 19_999)).toContainEqual(expect.stringMatching(/^\/usr\/sbin\/haproxy/));
    await alice.ok("DELETE", `/v1/agents/${neighbour.id}`);
  });

  test("of its user's disk leaves the other users' disks alone", async () => {
    const { out, run } = await sh(alice, a, "head -c 1G /dev/zero > big; stat -c %s big");
    expect(run).toMatchObject({ exitCode: 0, stderrTail: null });
    expect(Number(out)).toBeLessThan(2 ** 27);
    expect((await sh(bob, ofBob, "head -c 20M /dev/zero > big && stat -c %s big; rm big")).out).toBe(
      String(20 * 2 ** 20),
    );
    expect((await sh(alice, a, "rm big; head -c 20M /dev/zero > big && stat -c %s big; rm big")).out).toBe(
      String(20 * 2 ** 20),
    );
  });
});

describe("what an agent plants", () => {
  test("in place of its files leads no write anywhere else, and no delete", async () => {
    const canary = join(berth.dir, "canary");
    mkdirSync(canary);
    writeFileSync(join(canary, "keep"), "kept\n");
    for (const path of [berth.dir, canary, join(canary, "keep")]) chmodSync(path, 0o777);
    const told = () => [
      readdirSync(canary),
      readFileSync(join(canary, "keep"), "utf8"),
      statSync(join(canary, "keep")).mode,
    ];
    const before = told();
    await sh(alice, b, "echo kept > secret; chmod 666 secret");
    for (const target of [canary, "/", `/workspace/agent-${b.id}`]) {
      const planter = await alice.createAgent("planter", { runtime: "shell" });
      await alice.ok("PUT", `/v1/agents/${planter.id}/env`, { PLANTED: "value" });
      await sh(
        alice,
        planter,
        `rm -rf .berth .claude; ln -s ${target} .berth; ln -s ${target} .claude; ln -s ${target}/keep .env
        ln -sfn / /workspace/shared/x; ln -s ${target} link; ln -s / root
        python3 -c 'import os
for _ in range(600): os.mkdir("d" * 200); os.chdir("d" * 200)'; chmod 000 link/* 2>/dev/null`,
      );
      const { out } = await sh(
        alice,
        planter,
        "cat .berth/env; stat -c %F .berth/env; readlink .berth.broken .claude .env",
      );
      expect(out).toBe(`PLANTED='value'\nregular file\n${target}\n${target}\n${target}/keep`);
      expect((await alice.call("DELETE", `/v1/agents/${planter.id}`)).status).toBe(204);
    }
    const volume = join(berth.hostDir, "mnt", await userIdOf(alice));
    expect(readdirSync(join(volume, "trash"))).toEqual([]);
    expect(readdirSync(join(volume, "workspace")).toSorted()).toEqual(
      [`agent-${a.id}`, `agent-${b.id}`, "shared"].toSorted(),
    );
    expect(told()).toEqual(before);
    expect((await sh(alice, b, "cat secret; readlink /workspace/shared/x")).out).toBe("kept\n/");
  });

  test("as a fifo, a directory or a huge file named .berth/env harms itself alone", async () => {
    for (const plant of ["mkfifo .berth/env", "mkdir -p .berth/env/deep", "truncate -s 100G .berth/env"]) {
      const planter = await alice.createAgent("planter", { runtime: "shell" });
      await sh(alice, planter, `rm -rf .berth/env; ${plant}`);
      await alice.ok("PUT", `/v1/agents/${planter.id}/env`, { PLANTED: "value" });
      expect((await sh(alice, planter, "echo $PLANTED")).out).toBe("value");
      expect((await alice.call("DELETE", `/v1/agents/${planter.id}`)).status).toBe(204);
    }
  });

  test("as the mode of its own directory is mended by its next run", async () => {
    const locked = await alice.createAgent("locked", { runtime: "shell" });
    await sh(alice, locked, "echo kept > file; chmod 000 .");
    expect((await sh(alice, locked, "cat file")).out).toBe("kept");
    await alice.ok("DELETE", `/v1/agents/${locked.id}`);
  });

  test("in its own run's files ends or fills that run and no other", async () => {
    const other = await alice.send(b.id, "for i in $(seq 1 200); do echo $i; sleep 0.01; done");
    const forged = await sh(alice, a, `echo told; echo 0 >>"/run/berth-runs/$BERTH_RUN_ID/exit"; exec sleep 614`);
    expect(forged).toMatchObject({ out: "told", run: { exitCode: 0 } });
    expect(await commandsOf(alice)).not.toContain("sleep 614");
    const { run } = await sh(alice, a, `head -c 60M /dev/zero >>"/run/berth-runs/$BERTH_RUN_ID/exit"; exit 3`);
    expect(run.status).toBe("failed");
    expect(berth.host.memoryBytes()).toBeLessThan(150 * 2 ** 20);
    const { lines, run: unharmed } = await alice.finish(other.id);
    expect([lines.length, unharmed.status]).toEqual([200, "completed"]);
  });

  test("as a process that outlives its run cannot change the sealed log", async () => {
    const { lines, run } = await alice.runToEnd(
      a.id,
      "setsid sh -c 'trap \"\" TERM HUP; while :; do echo late; sleep 0.01; done' & echo own; until grep -q late /run/berth-runs/$BERTH_RUN_ID/out; do sleep 0.05; done",
    );
    expect(lines.map(textOf)).toContain("late");
    expect((await commandsOf(alice)).filter((command) => command.includes("late"))).toEqual([]);
    const out = `/run/berth-runs/${run.id}/out`;
    const { out: again } = await sh(
      alice,
      a,
      `for f in ${out} /run/berth-runs/$BERTH_RUN_ID/out; do (echo more >>$f) 2>/dev/null && echo appended || echo refused; done`,
    );
    expect(again).toBe("refused\nmore\nappended");
    const hostOut = join(berth.hostDir, "mnt", await userIdOf(alice), "runs", run.id, "out");
    expect(execFileSync("lsattr", [hostOut], { encoding: "utf8" })).toMatch(/^[^ ]*i/);
    expect(statSync(hostOut).size).toBe(run.logBytes);
    expect((await alice.finish(run.id)).lines).toEqual(lines);
  });
});

describe("keys", () => {
  const callModel = (socket: string, token: string) =>
    `curl -sS -o /dev/null -w '%{http_code}\\n' --unix-socket /run/berth/${socket}.sock -H "x-api-key: ${token}" -d '{"messages":[]}' http://localhost/v1/messages`;

  test("of a run help neither a neighbour nor a later run", async () => {
    const run = await alice.send(
      a.id,
      `echo $ANTHROPIC_API_KEY; ${callModel(a.id, "$ANTHROPIC_API_KEY")}; exec sleep 615`,
    );
    const token = await firstLine(alice, run.id);
    expect(token).toMatch(/^brt_/);
    expect((await sh(alice, b, callModel(b.id, token))).out).toBe("401");
    expect((await sh(alice, b, callModel(a.id, token))).run.stderrTail).toMatch(
      /Permission denied|Could not connect|Couldn't connect/,
    );
    expect((await sh(bob, ofBob, callModel(ofBob.id, token))).out).toBe("401");
    await cancel(alice, run);
    expect((await alice.finish(run.id)).lines.map(textOf)).toEqual([token, "200"]);
    expect((await sh(alice, a, `${callModel(a.id, token)}; ${callModel(a.id, "$ANTHROPIC_API_KEY")}`)).out).toBe(
      "401\n200",
    );
  });

  test("of the model's provider reach the provider and nothing that an agent can read", async () => {
    const finder = await alice.createAgent("finder");
    const [first, rest] = [providerKey.slice(0, 12), providerKey.slice(12)];
    const search = `k=${first}; k="$k"${rest}; echo $k > ~/planted; look="command grep -saf $HOME/planted"
      env | $look -c; $look -l /proc/[0-9]*/environ /proc/[0-9]*/cmdline; $look -rl -D skip --exclude-dir=proc --exclude-dir=sys / $HOME; rm ~/planted`;
    const { run } = await alice.runToEnd(finder.id, `demo: run ${search}`);
    expect(run.result).toMatch(/printed:\n\n0\n\/workspace\/agent-[^/\n]*\/planted\n\n/);
    const keys = model.callsOf(`demo: run ${search}`).map((call) => call.key);
    expect(keys.length).toBeGreaterThan(0);
    expect(new Set(keys)).toEqual(new Set([providerKey]));
    expect(berth.host.log() + berth.gateway.log()).not.toContain(providerKey);
  });

  test("of the host's database lie beside it for root alone, and without them the host agent says which file to put back", async () => {
    const key = join(berth.hostDir, "host.key");
    expect(statSync(key).mode & 0o777).toBe(0o600);
    await alice.ok("PUT", `/v1/agents/${a.id}/env`, { TOKEN: "kept" });
    await berth.host.kill("SIGTERM");
    renameSync(key, `${key}.away`);
    await expect(berth.host.start()).rejects.toThrow(
      /ended with 2: [^]*host\.key is missing: put it back from the backup/,
    );
    renameSync(`${key}.away`, key);
    await berth.host.start();
    expect((await sh(alice, a, "echo $TOKEN")).out).toBe("kept");
  });
});
