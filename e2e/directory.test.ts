/** Where an agent works: its directory below its own, what the CLI reads there, and the repository that is cloned into it. */
import Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Agent } from "@berth/shared/resources";
import { until } from "../gateway/test/wait.ts";
import type { Client } from "./harness/client.ts";
import { type Berth, startBerth } from "./harness/harness.ts";
import { type ModelEndpoint, startModel } from "./harness/model-endpoint.ts";

let model: ModelEndpoint;
let berth: Berth;
let alice: Client;
/** Makes and moves what the others clone. */
let shell: Agent;

beforeAll(async () => {
  model = await startModel();
  berth = await startBerth({ BERTH_MODEL_URL: model.url, ANTHROPIC_API_KEY: "sk-upstream", BERTH_IDLE_SECONDS: "600" });
  alice = await berth.client("alice");
  shell = await alice.createAgent("shell", { runtime: "shell" });
  await sh(shell, makeRepositories);
});
afterAll(async () => {
  await berth?.close();
  await model?.close();
});

/** Runs a script to its good end; answers what it printed. */
async function sh(agent: Agent, script: string): Promise<string> {
  const { run } = await alice.runToEnd(agent.id, script);
  expect([run.reason, run.stderrTail]).toEqual(["completed", null]);
  return run.result!.trim();
}
const put = (agent: Agent, path: string, body: unknown) =>
  alice.ok("PUT", `/v1/agents/${agent.id}/files/${path}`, body, { "content-type": "application/octet-stream" });
const work = (agent: Agent, directory: string | null) =>
  alice.ok<Agent>("PATCH", `/v1/agents/${agent.id}`, { directory });
const told = () => model.calls.at(-1)!.told;

const git = "git -c user.name=t -c user.email=t@example.com -c protocol.file.allow=always";
/** `site.git` with a submodule; below an address that no proxy asks for, for the tests' agents read it as this directory. */
const makeRepositories = `
  cd /workspace/shared && git init -q sub && echo part >sub/part.txt && (cd sub && ${git} add . && ${git} commit -qm one)
  git clone -q --bare sub sub.git && git init -q site && echo site >site/README.md && cd site
  ${git} submodule --quiet add -- /workspace/shared/sub.git part && git config -f .gitmodules submodule.part.url https://git.example/sub.git
  ${git} add . && ${git} commit -qm one && cd .. && git clone -q --bare site site.git && rm -rf site sub`;
const gitconfig = `[url "/workspace/shared/"]\n\tinsteadOf = https://git.example/\n[protocol "file"]\n\tallow = always\n`;

async function cloner(name: string, more: object): Promise<Agent> {
  const agent = await alice.createAgent(name, more);
  await put(agent, ".gitconfig", gitconfig);
  return agent;
}
const drop = ({ id }: Agent) => alice.ok("DELETE", `/v1/agents/${id}`);

describe("an agent's directory", () => {
  test("is where it works; one that is missing is made, and that is said; another or none from the next message on", async () => {
    const agent = await alice.createAgent("here", { runtime: "shell", directory: "web/app" });
    const { run, lines } = await alice.runToEnd(agent.id, "pwd; echo $HOME; echo x >made");
    const home = `/workspace/agent-${agent.id}`;
    expect([run.reason, run.result]).toEqual(["completed", `${home}/web/app\n${home}\n`]);
    expect(lines).toHaveLength(2);
    const stderr = await alice.call<string>("GET", `/v1/runs/${run.id}/stderr`);
    expect(stderr.body).toBe("Berth: The directory web/app was not there: it is made, and empty.\n");
    expect(await sh(agent, "ls")).toBe("made");
    await work(agent, "web");
    expect(await sh(agent, "ls")).toBe("app");
    await work(agent, null);
    expect(await sh(agent, "pwd")).toBe(home);
    await drop(agent);
  });

  test.each([
    ["a file", "echo mine >web"],
    ["a link that leads nowhere", "ln -s /nowhere web"],
  ])("is told to be none where %s stands, which stays", async (_, script) => {
    const agent = await alice.createAgent("none", { runtime: "shell" });
    await sh(agent, script);
    await work(agent, "web");
    const { run } = await alice.runToEnd(agent.id, "echo never");
    expect([run.reason, run.exitCode, run.result]).toEqual(["nonzero_exit", 1, ""]);
    expect(run.stderrTail).toMatch(/^Berth: web is no directory that the agent may work in: .*\n$/);
    await work(agent, null);
    expect(await sh(agent, "[ -f web ] || [ -L web ]; echo $?")).toBe("0");
    await drop(agent);
  });

  test("leads no process of root's through a link that the agent made", async () => {
    const agent = await alice.createAgent("link", { runtime: "shell" });
    await sh(agent, "ln -s /root web; ln -s / top");
    await work(agent, "web/x");
    expect((await alice.runToEnd(agent.id, "pwd")).run.reason).toBe("nonzero_exit");
    await work(agent, "top/tmp");
    expect(await sh(agent, "readlink -f .; id -u")).toMatch(/^\/tmp\n2\d{4}$/);
    await drop(agent);
  });

  test("stays while a run is in progress", async () => {
    const agent = await alice.createAgent("busy", { runtime: "shell", directory: "a" });
    const run = await alice.send(agent.id, "echo up; tail -f /dev/null");
    await alice.firstLine(run.id);
    const refused = await alice.call("PATCH", `/v1/agents/${agent.id}`, { directory: "b" });
    expect([refused.status, refused.body]).toEqual([
      409,
      expect.objectContaining({ code: "agent_busy", runId: run.id }),
    ]);
    await alice.ok("PATCH", `/v1/agents/${agent.id}`, { directory: "a", name: "busier" });
    await alice.call("POST", `/v1/runs/${run.id}/cancel`);
    expect(await work(agent, "b")).toMatchObject({ directory: "b" });
    await drop(agent);
  });
});

/** The least that is an MCP server: one tool. */
const mcpServer = `
import json, sys
def answer(asked):
    if asked["method"] == "initialize":
        return {"protocolVersion": asked["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "t", "version": "1"}}
    return {"tools": [{"name": "berth_probe", "description": "A probe.", "inputSchema": {"type": "object"}}]}
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": answer(asked)}), flush=True)
`;

describe("the CLI in a directory", () => {
  test("reads its CLAUDE.md, commands, skills, hooks and .mcp.json", async () => {
    const agent = await alice.createAgent("reader", { directory: "proj" });
    await put(agent, "proj/CLAUDE.md", "The word of the project is quokka.\n");
    await put(agent, "proj/.claude/commands/ship.md", "Ship it: $ARGUMENTS");
    await put(
      agent,
      "proj/.claude/skills/greet/SKILL.md",
      "---\nname: greet\ndescription: Greets a numbat\n---\nGreet.\n",
    );
    const hooks = { UserPromptSubmit: [{ hooks: [{ type: "command", command: "pwd >>hooked; echo from a hook" }] }] };
    await put(agent, "proj/.claude/settings.json", { hooks });
    await put(agent, "proj/probe.py", mcpServer);
    await put(agent, "proj/.mcp.json", { mcpServers: { probe: { command: "python3", args: ["probe.py"] } } });
    const { lines, run } = await alice.runToEnd(agent.id, "demo: say read");
    expect([run.reason, run.result]).toEqual(["completed", "read"]);
    const init = lines.map((line) => JSON.parse(line)).find(({ subtype }) => subtype === "init");
    expect(init).toMatchObject({
      cwd: `/workspace/agent-${agent.id}/proj`,
      mcp_servers: [{ name: "probe", status: "connected" }],
    });
    expect(init.tools).toContain("mcp__probe__berth_probe");
    expect(init.slash_commands).toEqual(expect.arrayContaining(["ship", "greet"]));
    for (const word of ["quokka", "numbat", "from a hook"]) expect(told()).toContain(word);
    const hooked = await alice.call<string>("GET", `/v1/agents/${agent.id}/files/proj/hooked`);
    expect(hooked.body).toBe(`/workspace/agent-${agent.id}/proj\n`);
    await alice.runToEnd(agent.id, "/ship today");
    expect(told()).toContain("Ship it: today");
    await drop(agent);
  });

  test("goes on with the conversation of that directory, and with the other when it is back there", async () => {
    const agent = await alice.createAgent("talker", { directory: "one" });
    const say = async (word: string) => {
      const { run, lines } = await alice.runToEnd(agent.id, `demo: say ${word}`);
      expect([run.result, lines.join("\n")]).toEqual([word, expect.not.stringContaining("session_missing")]);
      return ["alpha", "beta", "gamma", "delta"].filter((other) => told().includes(`say ${other}`));
    };
    expect(await say("alpha")).toEqual(["alpha"]);
    await work(agent, "two");
    expect(await say("beta")).toEqual(["beta"]);
    await work(agent, "one");
    expect(await say("gamma")).toEqual(["alpha", "gamma"]);
    await alice.ok("POST", `/v1/agents/${agent.id}/reset`);
    expect(await say("delta")).toEqual(["delta"]);
    await work(agent, "two");
    expect(await say("gamma")).toEqual(["beta", "gamma"]);
    // Of the directory that it works in from now on, though no message has led there yet.
    await work(agent, "one");
    await alice.ok("POST", `/v1/agents/${agent.id}/reset`);
    expect(await say("alpha")).toEqual(["alpha"]);
    await work(agent, "two");
    expect(await say("delta")).toEqual(["beta", "gamma", "delta"]);
    await drop(agent);
  });
});

describe("a repository", () => {
  test("is cloned by the first run, submodules and all, and never again", async () => {
    const agent = await cloner("clone", { runtime: "shell", repository: "https://git.example/site.git" });
    expect(agent).toMatchObject({ directory: "site", repository: "https://git.example/site.git" });
    expect(
      await sh(
        agent,
        "pwd; cat README.md part/part.txt; git config remote.origin.url; git status --short; ls -A ~/.berth",
      ),
    ).toBe(`/workspace/agent-${agent.id}/site\nsite\npart\nhttps://git.example/site.git\nlast-run\ntmp`);
    expect(await sh(agent, "echo changed >README.md; git -C part log --oneline | wc -l")).toBe("1");
    await work(agent, "site/part");
    expect(await sh(agent, "cat ../README.md part.txt")).toBe("changed\npart");
    await drop(agent);
  });

  test("leaves what is in its place alone, and takes an empty directory", async () => {
    const agent = await cloner("kept", { runtime: "shell", repository: "https://git.example/site", directory: "a/b" });
    await put(agent, "a/b/mine.txt", "mine");
    const { run } = await alice.runToEnd(agent.id, "ls -A; rm mine.txt");
    const stderr = await alice.call<string>("GET", `/v1/runs/${run.id}/stderr`);
    expect([run.reason, run.result, stderr.body]).toEqual([
      "completed",
      "mine.txt\n",
      "Berth: a/b is not empty and no repository: https://git.example/site is not cloned into it.\n",
    ]);
    expect(await sh(agent, "ls")).toBe("README.md\npart");
    await drop(agent);
  });

  test("that cannot be cloned fails the run with git's words, leaves nothing, and comes with the next message", async () => {
    const agent = await cloner("late", { repository: "https://git.example/late.git" });
    const { run, lines } = await alice.runToEnd(agent.id, "demo: say never");
    expect([run.reason, run.exitCode, run.result]).toEqual(["nonzero_exit", 1, null]);
    expect(run.stderrTail).toMatch(/^fatal: .*late\.git.*\nBerth: the repository was not cloned, .*\n$/s);
    expect(lines).toEqual(['{"type":"prepared","message":"Cloning https://git.example/late.git into late."}']);
    const listing = await alice.ok<{ entries: { name: string }[] }>("GET", `/v1/agents/${agent.id}/files/`);
    expect(listing.entries.map(({ name }) => name)).toEqual([".berth", ".gitconfig"]);
    // As a run leaves it that was killed in the midst of this.
    await put(agent, ".berth/clone/half.txt", "half");
    await sh(shell, "cp -r /workspace/shared/site.git /workspace/shared/late.git");
    const next = await alice.runToEnd(agent.id, "demo: run ls; ls ../.berth");
    expect(next.run.reason).toBe("completed");
    expect(next.lines.join("\n")).not.toContain("session_missing");
    expect(next.run.result).toContain("README.md\npart\nlast-run\ntmp\n");
    await drop(agent);
  });

  test("whose clone was killed in the midst of it is not there, and the next message clones it whole", async () => {
    const agent = await cloner("killed", { runtime: "shell", repository: "https://git.example/site.git" });
    const place = `/v1/agents/${agent.id}/files`;
    // A transport that says nothing: git has begun the repository by then.
    await put(
      agent,
      ".gitconfig",
      '[url "ext::tail -f /dev/null"]\n\tinsteadOf = https://git.example/site.git\n[protocol "ext"]\n\tallow = always\n',
    );
    const run = await alice.send(agent.id, "ls");
    await until(
      async () => (await alice.call("GET", `${place}/.berth/clone/.git/HEAD`)).status === 200,
      "the clone has begun",
    );
    await new Docker().getContainer((await alice.workspace()).containerId!).kill();
    expect((await alice.finish(run.id)).run.reason).toBe("container_lost");
    expect((await alice.call("GET", `${place}/site`)).status).toBe(404);
    await put(agent, ".gitconfig", gitconfig);
    expect(await sh(agent, "ls; ls -A ~/.berth")).toBe("README.md\npart\nlast-run\ntmp");
    await drop(agent);
  });
});
