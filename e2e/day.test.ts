/** One working day of a developer, step after step in one workspace, on the real CLI: each test goes on where the one before left off. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { Agent, Run } from "@berth/shared/resources";
import { forgeToken, forgeUser } from "../host-agent/test/forge.ts";
import {
  nativePackageName,
  npmPackageName,
  startTlsServers,
  tlsHosts,
  type TlsServers,
  wheelName,
} from "../host-agent/test/tls-servers.ts";
import { until } from "../gateway/test/wait.ts";
import type { Client } from "./harness/client.ts";
import { type Berth, startBerth, userIdOf } from "./harness/harness.ts";
import { type ModelEndpoint, type Scripted, startModel } from "./harness/model-endpoint.ts";

const { forge, npm, pypi } = tlsHosts;
const dotenv = "DATABASE_URL=postgres://localhost/app\n";
/** What the model does of a build: the command, moved to the background, and then its word for what it hears of it. */
const build = { command: "until [ -e go ]; do sleep 0.2; done; echo built >build.txt", run_in_background: true };
/**
 * A build that its agent waits for longer than its tool does, so that the CLI moves it to the background by itself: after ten seconds in
 * place of its two minutes. It then goes on for longer than a run lingers after its result.
 */
const [toolMs, buildSeconds] = [10_000, 60];
const makefile = `all:\n\t@for i in $$(seq ${buildSeconds}); do echo "[$$i/${buildSeconds}]"; sleep 1; done\n\t@date +%s >made.txt\n`;
/** What the model says of it: what it has heard last, be it by its tool, by its user or by the CLI. */
function sayOfBuild(told: string): string {
  const heard = [
    ...told.matchAll(/moved to the background|How far is it\?|<task-notification>[^]*?<\/task-notification>/g),
  ];
  const last = heard.at(-1)?.[0] ?? "nothing";
  if (last.startsWith("moved")) return "It is in the background.";
  if (last.startsWith("How")) return "It goes on.";
  return /<status>completed</.test(last) ? "It is made." : `I know of ${last}`;
}

let servers: TlsServers;
let model: ModelEndpoint;
let berth: Berth;
let dana: Client;
let agent: Agent;
let builder: Agent;
let making: Run;
const opened: WebSocket[] = [];

beforeAll(async () => {
  servers = await startTlsServers();
  model = await startModel(({ prompt, nth, told }): Scripted | null => {
    if (prompt === "Build it." && nth === 0)
      return { blocks: [{ type: "tool_use", id: "toolu_build", name: "Bash", input: build }] };
    if (told.includes("Make all of it.")) {
      const input = { command: "make", description: "Make all" };
      if (!told.includes("toolu_make"))
        return { blocks: [{ type: "tool_use", id: "toolu_make", name: "Bash", input }] };
      return { blocks: [{ type: "text", text: sayOfBuild(told) }] };
    }
    const since = told.slice(told.lastIndexOf("Build it."));
    if (!since.startsWith("Build it.") || since.includes("demo: ")) return null;
    const hasEnded = /task-notification[^]*completed/.test(since);
    return { blocks: [{ type: "text", text: hasEnded ? "The build is done." : "The build goes on." }] };
  });
  berth = await startBerth({
    BERTH_MODEL_URL: model.url,
    ANTHROPIC_API_KEY: "sk-upstream",
    BERTH_IDLE_SECONDS: "600",
    BERTH_EGRESS_ALLOW: `${npm},${pypi}`,
    TLS_PORTS: `${servers.httpsPort},${servers.httpPort}`,
    NODE_EXTRA_CA_CERTS: servers.caPath,
  });
  await berth.host.kill("SIGTERM");
  await berth.host.start({}, join(import.meta.dirname, "hosts/egress-host.ts"));
  dana = await berth.client("dana");
  await until(async () => (await dana.call("GET", "/readyz")).status === 200, "the host is live again");
});
afterAll(async () => {
  for (const ws of opened) ws.terminate();
  await berth?.close();
  await model?.close();
  await servers?.close();
});

/** The agent does this with its Bash tool, to a good end; what the tool printed. */
async function work(command: string): Promise<string> {
  const { run } = await dana.runToEnd(agent.id, `demo: run ${command}`);
  expect([run.reason, run.result]).toEqual(["completed", expect.stringContaining("The command printed:")]);
  return run.result!.split("\n\n")[1]!.trim();
}
const file = (path: string) => `/v1/agents/${agent.id}/files/${path}`;
const put = (path: string, text: string) => dana.ok("PUT", file(path), text, { "content-type": "text/plain" });
const read = async (path: string) => (await dana.call<string>("GET", file(path))).body;

test("a private repository is cloned at the agent's first message, submodule and all, with a credential that never enters", async () => {
  await dana.ok("PUT", `/v1/git-credentials/${forge}`, { username: forgeUser, token: forgeToken });
  agent = await dana.createAgent("app", { repository: `https://${forge}/team/app.git` });
  await put("ca.pem", readFileSync(servers.caPath, "utf8"));
  await dana.ok("PATCH", `/v1/agents/${agent.id}/env`, {
    npm_config_cafile: `/workspace/agent-${agent.id}/ca.pem`,
    npm_config_registry: `https://${npm}/`,
    PIP_CERT: `/workspace/agent-${agent.id}/ca.pem`,
    PIP_INDEX_URL: `https://${pypi}/simple`,
    TZ: "Asia/Seoul",
    // On a busy machine an installation takes longer than its two minutes.
    BASH_DEFAULT_TIMEOUT_MS: "600000",
  });
  expect(await work("pwd; cat README.md lib/README.md; git status --short; date -d @0 +%z")).toBe(
    `/workspace/agent-${agent.id}/app\napp\nlib\n+0900`,
  );
  expect(
    await work(
      `grep -rl '${forgeToken.slice(4)}' ~ /proc/[0-9]*/environ 2>/dev/null | grep -v '\\.claude/projects' | wc -l`,
    ),
  ).toBe("0");
});

test("what the project needs is installed: an npm package that is compiled, and a wheel with a command", async () => {
  await put("app/.env", dotenv);
  const dependencies = { [npmPackageName]: "1.0.0", [nativePackageName]: "1.0.0" };
  await put("app/package.json", JSON.stringify({ name: "app", version: "1.0.0", dependencies }));
  await put("app/.gitignore", "node_modules\n.env\nbuild.txt\ngo\n");
  const said = await work(
    `npm install --package-lock-only --silent && npm ci --no-audit --no-fund --silent && node -p 'require("${npmPackageName}") + require("${nativePackageName}")' && pip install -q --disable-pip-version-check ${wheelName} && tiny-berth`,
  );
  expect(said.split("\n").slice(-2)).toEqual(["tiny42", "a tiny command"]);
});

/** The lines of the making run as far as one that fits. */
const untilLine = (fits: (line: { type: string; subtype?: string; tasks?: object[]; result?: string }) => unknown) =>
  dana.untilOutput(making.id, (data) => fits(JSON.parse(data) as { type: string }));

test("a build that takes longer than the tool waits goes on in the background, and its agent can be asked meanwhile", async () => {
  builder = await dana.createAgent("builder", { repository: `https://${forge}/team/app.git` });
  await dana.ok("PATCH", `/v1/agents/${builder.id}/env`, { BASH_DEFAULT_TIMEOUT_MS: String(toolMs) });
  expect((await dana.runToEnd(builder.id, "demo: say cloned")).run.result).toBe("cloned");
  await dana.ok("PUT", `/v1/agents/${builder.id}/files/app/Makefile`, makefile, { "content-type": "text/plain" });
  making = await dana.send(builder.id, "Make all of it.");
  await untilLine(({ subtype, tasks }) => subtype === "background_tasks_changed" && tasks?.length === 1);
  await untilLine(({ result }) => result === "It is in the background.");
  await dana.ok("POST", `/v1/runs/${making.id}/messages`, { text: "How far is it?" });
  await untilLine(({ result }) => result === "It goes on.");
  expect(await dana.run(making.id)).toMatchObject({ status: "running", endedAt: null });
});

test("a build that was moved to the background is told truly: it goes on after the answer, and its end is heard", async () => {
  const run = await dana.send(agent.id, "Build it.");
  await dana.untilOutput(run.id, (data) => (JSON.parse(data) as { result?: string }).result === "The build goes on.");
  expect((await dana.run(run.id)).status).toBe("running");
  await put("app/go", "");
  const { run: ended } = await dana.finish(run.id);
  expect([ended.reason, ended.result]).toEqual(["completed", "The build is done."]);
  expect(await read("app/build.txt")).toBe("built\n");
});

test("a dev server in a terminal is reached by the agent, and the agent's own from the terminal", async () => {
  const ws = new WebSocket(`${dana.url.replace("http", "ws")}/v1/agents/${agent.id}/terminal`, ["berth.v1"], {
    headers: { authorization: `Bearer ${dana.token}` },
  });
  opened.push(ws);
  let screen = "";
  ws.on("message", (data: Buffer, isBinary) => void (screen += isBinary ? data.toString() : ""));
  const type = async (text: string, answer: string) => {
    screen = "";
    ws.send(Buffer.from(`${text}\n`));
    await until(() => screen.includes(answer), `the terminal shows ${answer}`);
  };
  await until(() => screen.includes("$ "), "the shell shows its prompt");
  const serve = (port: number) =>
    `python3 -m http.server --bind 0.0.0.0 ${port} >/dev/null 2>&1 & until curl -sfo /dev/null http://0.0.0.0:${port}/; do sleep 0.2; done`;
  await type(`${serve(5173)}; echo ser''ving`, "serving");
  expect(await work("for h in localhost 127.0.0.1 0.0.0.0 berth; do curl -sS http://$h:5173/README.md; done")).toBe(
    "app\napp\napp\napp",
  );
  const run = await dana.send(
    agent.id,
    `demo: run ${serve(5174)}; echo up >up.txt; until [ -e seen ]; do sleep 0.2; done; rm seen up.txt`,
  );
  await type("until [ -e up.txt ]; do sleep 0.2; done; curl -sS http://berth:5174/up.txt; touch seen", "up\r\n");
  expect((await dana.finish(run.id)).run.reason).toBe("completed");
});

test("the work is committed as its author, pushed, and a pull request opened", async () => {
  await dana.ok("PATCH", "/v1/me", { gitName: "Dana", gitEmail: "dana@example.com" });
  expect(
    await work(
      "git switch -q -c feature && git add . && git commit -q -m 'Add packages' && git push -q origin HEAD && git status --short && git log -1 --format='%an <%ae>'",
    ),
  ).toBe("Dana <dana@example.com>");
  const opening = { title: "Packages", body: "Two of them.", base: "main" };
  const open = () => dana.call<{ url: string }>("POST", `/v1/agents/${agent.id}/pull-requests`, opening);
  // It is of the directory that the agent works in now, whatever its last run knew.
  await dana.ok("PATCH", `/v1/agents/${agent.id}`, { directory: null });
  expect((await open()).status).toBe(409);
  await dana.ok("PATCH", `/v1/agents/${agent.id}`, { directory: "app" });
  const { body: pull } = await open();
  expect(pull.url).toBe(`https://${forge}/team/app/pulls/1`);
  expect(servers.forge.pulls).toEqual([{ title: "Packages", body: "Two of them.", head: "feature", base: "main" }]);
});

test("a new conversation knows nothing of the one before, and all files are as they were", async () => {
  await dana.ok("POST", `/v1/agents/${agent.id}/reset`);
  expect(await work("git log -1 --format=%s; ls -A | tr '\\n' ' '")).toMatch(
    /^Add packages\n.*\.env .*build\.txt.*node_modules/,
  );
  expect(model.calls.at(-1)!.told).not.toContain("Build it.");
  expect(await read("app/.env")).toBe(dotenv);
});

test("the build of before was awaited all the while, and its end is told as it was", async () => {
  const { run, lines } = await dana.finish(making.id);
  expect(run).toMatchObject({ status: "completed", reason: "completed", exitCode: 0, result: "It is made." });
  const { body: madeAt } = await dana.call<string>("GET", `/v1/agents/${builder.id}/files/app/made.txt`);
  const ms = [run.startedAt!, `@${madeAt}`, run.endedAt!].map((at) =>
    at[0] === "@" ? Number(at.slice(1)) * 1000 : Date.parse(at),
  );
  expect(ms[1]! - ms[0]!).toBeGreaterThan((buildSeconds - 1) * 1000);
  expect(ms[2]).toBeGreaterThanOrEqual(ms[1]!);
  const events = lines.map(
    (line) => JSON.parse(line) as { type: string; subtype?: string; tasks?: object[]; result?: string },
  );
  expect(events.flatMap(({ type, result }) => (type === "result" ? [result] : []))).toEqual([
    "It is in the background.",
    "It goes on.",
    "It is made.",
  ]);
  const counts = events.flatMap(({ subtype, tasks }) =>
    subtype === "background_tasks_changed" ? [tasks!.length] : [],
  );
  expect(counts).toEqual([1, 0]);
});

test("damage to what the CLI keeps is mended with the next message", async () => {
  const home = join(berth.hostDir, "mnt", await userIdOf(dana), "workspace", `agent-${agent.id}`);
  const projects = join(home, ".claude/projects");
  const transcripts = readdirSync(projects, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".jsonl"),
  );
  for (const name of transcripts) truncateSync(join(projects, name), 100);
  execFileSync("truncate", ["-s", "10", join(home, ".claude/.claude.json")]);
  const { run, lines } = await dana.runToEnd(agent.id, "demo: say whole again");
  expect([run.reason, run.result]).toEqual(["completed", "whole again"]);
  const types = lines.map((line) => (JSON.parse(line) as { type: string }).type);
  expect(types).toEqual(expect.arrayContaining(["session_missing", "repaired"]));
  const { items } = await dana.ok<{ items: Run[] }>("GET", "/v1/runs");
  expect(items.filter(({ reason }) => reason !== "completed")).toEqual([]);
});
