import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Agent } from "@berth/shared/resources";
import type { Client } from "./harness/client.ts";
import { type Berth, startBerth, userIdOf } from "./harness/harness.ts";
import { type ModelEndpoint, startModel } from "./harness/model-endpoint.ts";

let model: ModelEndpoint;
let berth: Berth;
let alice: Client;
/** Of the shell, and of the CLI. */
let shell: Agent;
let claude: Agent;

beforeAll(async () => {
  model = await startModel();
  berth = await startBerth({ BERTH_MODEL_URL: model.url, ANTHROPIC_API_KEY: "sk-upstream", BERTH_IDLE_SECONDS: "600" });
  alice = await berth.client("alice");
  shell = await alice.createAgent("shell", { runtime: "shell" });
  claude = await alice.createAgent("claude");
});
afterAll(async () => {
  await berth?.close();
  await model?.close();
});

const directoryOf = async ({ id }: Agent) =>
  join(berth.hostDir, "mnt", await userIdOf(alice), "workspace", `agent-${id}`);
/** Runs a script to its good end; answers what it printed. */
async function sh(script: string, agent = shell): Promise<string> {
  const { run } = await alice.runToEnd(agent.id, script);
  expect([run.reason, run.stderrTail]).toEqual(["completed", null]);
  return run.result!.trim();
}
const say = (word: string) => alice.runToEnd(claude.id, `demo: say ${word}`);
/** All that the model was told when it was last asked. */
const told = () => model.calls.at(-1)!.told;
const asJson = (text: string) => JSON.stringify(text).slice(1, -1);

describe("names that belong to the user", () => {
  const file = (path: string) => `/v1/agents/${shell.id}/files/${path}`;
  const read = async (path: string) => (await alice.call("GET", file(path))).body;

  test("are left alone: .env is as it was written, with and without an environment", async () => {
    const dotenv = "DATABASE_URL=postgres://localhost/x\n";
    await sh(`printf %s '${dotenv}' >.env`);
    await sh(":");
    expect(await read(".env")).toBe(dotenv);
    await alice.ok("PUT", `/v1/agents/${shell.id}/env`, { COLOUR: "deep 'blue'" });
    expect(await sh('echo "$COLOUR"; . ~/.berth/env; echo "$COLOUR"')).toBe("deep 'blue'\ndeep 'blue'");
    expect(await read(".env")).toBe(dotenv);
    expect(await read(".berth/env")).toBe(`COLOUR="deep 'blue'"\n`);
    await alice.ok("PUT", `/v1/agents/${shell.id}/env`, {});
    expect(await sh("ls -A .berth; cat .env")).toBe(`last-run\ntmp\n${dotenv.trim()}`);
  });

  test("are all that a new agent's directory lacks: there is .berth and nothing else", async () => {
    const agent = await alice.createAgent("new", { runtime: "shell" });
    expect(await sh("ls -A", agent)).toBe(".berth");
  });
});

describe("instructions", () => {
  test("reach the model to the letter, whatever its CLI would read in them", async () => {
    const instructions = [
      "---\npaths:\n  - src/**\n---",
      "<!-- for the team only -->",
      "Read @/etc/passwd first, and @./notes.md; mail ops@example.com.",
      "```js\nconst at = `~~~`;\n```",
      "~~~~~~\n\ttabbed,   spaced  \r\n<!--\nlong\n-->",
    ].join("\n");
    const agent = await alice.createAgent("told", { instructions });
    await alice.runToEnd(agent.id, "demo: say told");
    expect(told()).toContain(asJson(instructions));
    expect(told()).not.toContain("root:x:0");
  });
});

describe("a message that begins with a slash", () => {
  test.each([
    "/status page returns 500, please fix",
    "/bug in the parser",
    "/memory leak in worker.js",
    "/etc/hosts is odd",
  ])("reaches the model where the CLI has no such command: %s", async (prompt) => {
    const { run } = await alice.runToEnd(claude.id, prompt);
    expect(run).toMatchObject({ status: "completed", prompt });
    expect(model.calls.at(-1)!.prompt.trim()).toBe(prompt);
  });

  test("is a command of the CLI's own, or of the agent's, where a person writes it", async () => {
    const asked = model.calls.length;
    const { run } = await alice.runToEnd(claude.id, "/context");
    expect([run.reason, run.result, model.calls.length]).toEqual([
      "completed",
      expect.stringContaining("Context Usage"),
      asked,
    ]);
    const path = `/v1/agents/${claude.id}/files/.claude/commands/ship.md`;
    await alice.ok("PUT", path, "Ship it: $ARGUMENTS", { "content-type": "text/markdown" });
    await alice.runToEnd(claude.id, "/ship today");
    expect(told()).toContain("Ship it: today");
  });

  test("is text where a webhook brought it", async () => {
    const hook = { name: "hook", scheme: "token", template: "{{payload.text}}" };
    const { id, secret } = await alice.ok<{ id: string; secret: string }>(
      "POST",
      `/v1/agents/${claude.id}/triggers`,
      hook,
    );
    for (const text of ["/clear", "/context of the fault", "/ship it", "see @/etc/passwd and @.berth/env"]) {
      const sent = await fetch(`${alice.url}/hooks/${id}`, {
        method: "POST",
        headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
        body: JSON.stringify({ text }),
      });
      const { runId } = (await sent.json()) as { runId: string };
      const { run } = await alice.finish(runId);
      expect([run.reason, model.calls.at(-1)!.prompt]).toEqual(["completed", text]);
    }
    expect(told()).not.toContain("root:x:0");
  });

  test("is no success where the CLI knows the command, does nothing and asks no model", async () => {
    // A hook of the user's that refuses the message: the model sees nothing of it.
    const settings = {
      hooks: { UserPromptSubmit: [{ hooks: [{ type: "command", command: "echo no >&2; exit 2" }] }] },
    };
    const agent = await alice.createAgent("refusing");
    await alice.ok("PUT", `/v1/agents/${agent.id}/files/.claude/settings.json`, settings);
    const asked = model.calls.length;
    const { run } = await alice.runToEnd(agent.id, "a word");
    expect([run.status, run.reason, model.calls.length]).toEqual(["failed", "agent_error", asked]);
  });
});

describe("the conversation", () => {
  test("that /clear began is the one that goes on", async () => {
    await say("alpha123");
    const { run } = await alice.runToEnd(claude.id, "/clear");
    expect(run.reason).toBe("completed");
    const { lines } = await say("beta");
    expect(lines.join("\n")).not.toContain("session_missing");
    expect(told()).not.toContain("alpha123");
    await say("gamma");
    expect(told()).toContain("demo: say beta");
  });

  test("begins anew after a reset, with all files; not while a run is in progress", async () => {
    await say("before");
    await alice.ok("PUT", `/v1/agents/${claude.id}/files/kept.txt`, { kept: true });
    const run = await alice.send(claude.id, "demo: run tail -f /dev/null");
    await alice.firstLine(run.id);
    const early = await alice.call("POST", `/v1/agents/${claude.id}/reset`);
    expect([early.status, early.body]).toEqual([409, expect.objectContaining({ code: "agent_busy", runId: run.id })]);
    await alice.call("POST", `/v1/runs/${run.id}/cancel`);
    expect(await alice.ok("POST", `/v1/agents/${claude.id}/reset`)).toMatchObject({ id: claude.id, status: "idle" });
    const { lines } = await say("after");
    expect(told()).not.toContain("demo: say before");
    expect(lines.join("\n")).not.toContain("session_missing");
    expect((await alice.call("GET", `/v1/agents/${claude.id}/files/kept.txt`)).status).toBe(200);
  });

  test("of an agent that never ran can be reset too", async () => {
    const agent = await alice.createAgent("quiet");
    expect(await alice.ok("POST", `/v1/agents/${agent.id}/reset`)).toMatchObject({ id: agent.id });
  });
});

describe("damage to what the CLI needs", () => {
  const transcript = async () => {
    const projects = join(await directoryOf(claude), ".claude/projects");
    const [project] = readdirSync(projects);
    const { lines } = await say("who");
    const { session_id } = JSON.parse(lines.at(-1)!) as { session_id: string };
    return join(projects, project!, `${session_id}.jsonl`);
  };
  const config = async () => join(await directoryOf(claude), ".claude/.claude.json");
  const replace = (path: string, make: () => void) => {
    const { uid, gid } = statSync(path);
    rmSync(path, { recursive: true });
    make();
    chownSync(path, uid, gid);
  };

  test.each([
    [
      "a transcript torn in its first message",
      "session_missing",
      async () => {
        const path = await transcript();
        const text = readFileSync(path, "utf8");
        writeFileSync(path, text.slice(0, text.indexOf('"type":"user"') + 60));
      },
    ],
    [
      "a transcript that is a directory",
      "session_missing",
      async () => {
        const path = await transcript();
        replace(path, () => mkdirSync(path));
      },
    ],
    ["a .claude.json that is cut off", "repaired", async () => writeFileSync(await config(), '{"half')],
    ["an empty .claude.json", "repaired", async () => writeFileSync(await config(), "")],
    [
      "a .claude/projects that is a file",
      "repaired",
      async () => {
        const path = join(await directoryOf(claude), ".claude/projects");
        replace(path, () => writeFileSync(path, ""));
      },
    ],
    [
      "a .claude that is a file",
      "repaired",
      async () => {
        const path = join(await directoryOf(claude), ".claude");
        replace(path, () => writeFileSync(path, ""));
      },
    ],
    [
      "a locked .claude/projects",
      "repaired",
      async () => chmodSync(join(await directoryOf(claude), ".claude/projects"), 0),
    ],
  ])("is mended and said: %s", async (_, type, damage) => {
    await say("well");
    await damage();
    const { run, lines } = await say("again");
    expect([run.reason, run.result]).toEqual(["completed", "again"]);
    expect(lines.map((line) => (JSON.parse(line) as { type: string }).type)).toContain(type);
    const next = await say("onward");
    expect([next.run.reason, next.lines.join("\n")]).toEqual([
      "completed",
      expect.not.stringMatching(/session_missing|repaired/),
    ]);
    expect(told()).toContain("demo: say again");
  });

  test("leaves a transcript that was only locked as it is", async () => {
    await say("kept in mind");
    chmodSync(await transcript(), 0);
    await say("unlocked");
    expect(told()).toContain("demo: say kept in mind");
  });
});

describe("the tools", () => {
  test.each([
    ["python", "python -c 'print(6 * 7)'", "42"],
    ["the time zone that is set", "TZ=Asia/Seoul date -d @0 +%H%z", "09+0900"],
    ["Python's time zones", `python3 -c 'from zoneinfo import ZoneInfo; print(ZoneInfo("Asia/Seoul"))'`, "Asia/Seoul"],
    [
      "locales, without a warning",
      "for l in ko_KR en_US ja_JP de_DE zh_CN fr_FR pt_BR; do LC_ALL=$l.UTF-8 bash -c 'printf %s, $LC_ALL' 2>&1; done; LC_ALL=de_DE.UTF-8 printf '%.1f' 1,5",
      "ko_KR.UTF-8,en_US.UTF-8,ja_JP.UTF-8,de_DE.UTF-8,zh_CN.UTF-8,fr_FR.UTF-8,pt_BR.UTF-8,1,5",
    ],
    [
      "programs that people type",
      "for p in cc g++ make pkg-config wget gpg rsync tree tmux sqlite3 htop lsof nc ss envsubst git-lfs bzip2 zstd; do command -v $p >/dev/null || echo $p; done",
      "",
    ],
    [
      "tmux",
      "tmux new-session -d 'echo in tmux >out.txt' && until [ -s out.txt ]; do sleep 0.05; done; cat out.txt",
      "in tmux",
    ],
  ])("have %s", async (_, script, out) => {
    expect(await sh(script)).toBe(out);
  });

  test("have what pip and npm install, also what must be compiled, with nothing from the network", async () => {
    const out = await sh(`
      mkdir -p py/hello node_a && cd py
      cat >setup.py <<'X'
from setuptools import Extension, setup
setup(name="hello", version="1", packages=["hello"], ext_modules=[Extension("hello.fast", ["fast.c"])],
      entry_points={"console_scripts": ["say-hello=hello:main"]})
X
      echo 'def main():
    from hello import fast
    print("native", fast.answer())' >hello/__init__.py
      cat >fast.c <<'X'
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *args) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", "", -1, methods};
PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }
X
      pip install -q --no-build-isolation --no-index . 2>&1 && say-hello
      cd ../node_a
      echo '{"name":"node-a","version":"1.0.0","bin":{"say-node":"say.js"},"scripts":{"install":"node-gyp rebuild"},"gypfile":true}' >package.json
      echo '{"targets":[{"target_name":"a","sources":["a.c"]}]}' >binding.gyp
      echo '#include <node_api.h>
static napi_value init(napi_env env, napi_value exports) { napi_value v; napi_create_int32(env, 42, &v); return v; }
NAPI_MODULE(a, init)' >a.c
      echo '#!/usr/bin/env node
console.log("native", require("./build/Release/a.node"))' >say.js
      npm pack --silent >/dev/null && npm install -g --silent --offline ./node-a-1.0.0.tgz 2>&1 && say-node
      echo "warnings $(npm run env 2>&1 | grep -ci ' warn '), headers $(npm run env | grep -ci nodedir=/usr/local)"
      cd .. && rm -rf py node_a`);
    expect(out.split("\n").filter((line) => line.startsWith("native"))).toEqual(["native 42", "native 42"]);
    // For every node-gyp, by the variables of old and new ones.
    expect(out).toContain("\nwarnings 0, headers 2");
  });

  test.each([
    ["extended before", "$HOME/own:$PATH", /^\/workspace\/agent-[^:]+\/own:/],
    ["extended after", "${PATH}:/opt/more", /:\/opt\/more$/],
    ["replaced", "/nowhere", /^\/nowhere:/],
  ])("stay found with a PATH that is %s", async (_, PATH, shape) => {
    const agent = await alice.createAgent("path", { runtime: "shell" });
    await alice.ok("PUT", `/v1/agents/${agent.id}/env`, { PATH });
    expect(await sh("echo $PATH; command -v claude mkdir node", agent)).toMatch(
      /^\S+\n\/opt\/berth\/bin\/claude\n\/usr\/bin\/mkdir\n\/usr\/local\/bin\/node$/,
    );
    expect((await sh("echo $PATH", agent)).trim()).toMatch(shape);
    await alice.ok("DELETE", `/v1/agents/${agent.id}`);
  });

  test("keep /tmp for all: what one agent puts there takes no room from another, and a new container has none of it", async () => {
    const other = await alice.createAgent("other", { runtime: "shell" });
    await sh("head -c 200M /dev/zero >/tmp/big");
    expect(await sh("head -c 1M /dev/zero >/tmp/mine && stat -c %s /tmp/mine", other)).toBe(String(2 ** 20));
    await alice.ok("POST", "/v1/workspace/stop");
    expect(await sh("ls -A /tmp")).toBe("");
    await alice.ok("DELETE", `/v1/agents/${other.id}`);
  });
});

describe("a local server", () => {
  const spellings = [
    "localhost",
    "127.0.0.1",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "localhost.",
    "app.localhost",
    "berth",
    "127.1",
    "ip6-localhost",
    "localhost.localdomain",
  ];
  const serve = `python3 -c '
import http.server, socket
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b"here")
    def log_message(self, *args): pass
Server(("::", 5174), Handler).serve_forever()' & server=$!; until ss -ltn | grep -q :5174; do :; done;`;
  const clients = {
    curl: 'for h in $SPELLINGS; do printf "%s " "$(curl -sS -m 10 http://$h:5174/ 2>&1)"; done',
    "Python's urllib": `python3 -c '
import os, urllib.request
for h in os.environ["SPELLINGS"].split(): print(urllib.request.urlopen(f"http://{h}:5174/", timeout=10).read().decode(), end=" ")'`,
    "Python's requests": `python3 -c '
import os, pip._vendor.requests as requests
for h in os.environ["SPELLINGS"].split(): print(requests.get(f"http://{h}:5174/", timeout=10).text, end=" ")'`,
    wget: 'for h in $SPELLINGS; do printf "%s " "$(wget -qO- -T 10 http://$h:5174/ 2>&1)"; done',
    "Node's http": `node -e '(async () => { for (const h of process.env.SPELLINGS.split(" ")) await new Promise((done) => require("http").get("http://" + h + ":5174/", (answer) => answer.on("data", (text) => process.stdout.write(text + " ")).on("end", done))); })()'`,
    "Node's fetch": `node -e '(async () => { for (const h of process.env.SPELLINGS.split(" ")) process.stdout.write(await (await fetch("http://" + h + ":5174/")).text() + " "); })()'`,
  };

  test("is reached through a tunnel, by whatever spelling; the way out is not, by its own", async () => {
    // In a shell of its own: a tunnel that is closed by then ends who writes to it.
    const asked = String.raw`for at in 127.0.0.9:5174 127.1:5174 0:5174 2130706433:5174 0x7f000001:5174 "[::1]:5174" "[::]:5174" "[::ffff:127.0.0.1]:5174" LOCALHOST:5174 x.localhost:5174 127.0.0.9:5175 127.0.0.9:3128 localhost:03128; do exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT %s HTTP/1.1\r\n\r\n' "$at" >&3; read -r answer <&3; [[ $answer = *' 200 '* ]] && (printf 'GET / HTTP/1.0\r\n\r\n' >&3); timeout 10 grep -aE '^(here|Berth)' <&3 || echo closed; done`;
    const out = (await sh(`${serve} ${asked}; kill $server`)).split("\n");
    expect(out.slice(0, 11)).toEqual([...Array.from({ length: 10 }, () => "here"), "closed"]);
    expect(out.slice(11)).toEqual([
      expect.stringMatching(/^Berth refuses .*: it is this workspace itself.* localhost/),
      expect.stringMatching(/^Berth refuses /),
    ]);
    // Of a port that there is not its last 16 bits are 3128.
    const cut = await sh(
      String.raw`for at in 127.0.0.1:68664 127.0.0.9:134200; do exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT %s HTTP/1.1\r\n\r\n' "$at" >&3; read -r _ code _ <&3; echo $code; done`,
    );
    expect(cut).not.toContain("200");
    // Asked for without a tunnel.
    const plain = await sh(
      'for at in 127.0.0.1:3128 127.0.0.9:3128 localhost:3128 127.0.0.1:68664; do curl -sS -m 10 -x $HTTP_PROXY --noproxy "" --request-target "http://$at/" http://127.0.0.1/; done',
    );
    expect(plain.split("\n")).toEqual(Array.from({ length: 4 }, () => expect.stringMatching(/^Berth refuses /)));
  });

  test("is reached by who asks the proxy for it, by whatever spelling, and nothing else of the machine is", async () => {
    const out = await sh(
      `${serve} for h in 127.0.0.9 127.1 0 0x7f000001 "[::1]" "[::]" "[::ffff:127.0.0.1]" LOCALHOST x.localhost; do curl -sS -m 10 -x $HTTP_PROXY --noproxy "" http://$h:5174/; done; curl -sS -m 10 -x $HTTP_PROXY --noproxy "" http://127.0.0.9:5175/; kill $server`,
    );
    expect(out).toBe(`${"here".repeat(9)}Nothing in this workspace listens at that port.`);
  });

  test.each(Object.entries(clients))(
    "is reached by each spelling of loopback and by the own name: %s",
    async (_name, client) => {
      const read = [...spellings, "127.0.0.9"];
      const out = await sh(`${serve} export SPELLINGS="${read.join(" ")}"; ${client}; kill $server`);
      expect(out.split(" ")).toEqual(read.map(() => "here"));
    },
  );
});

test("variables are the agent's whatever they are called: Berth's scripts take none of their names", async () => {
  const names = ["run", "path", "code", "out", "err", "session", "literal", "file", "TMOUT", "POSIXLY_CORRECT"];
  const env = Object.fromEntries(names.map((name) => [name, "mine"]));
  const agent = await alice.createAgent("names");
  await alice.ok("PUT", `/v1/agents/${agent.id}/env`, env);
  const { run } = await alice.runToEnd(agent.id, `demo: run printenv ${names.join(" ")} | uniq -c`);
  expect(run.result).toMatch(/^\s+10 mine$/m);
  await alice.ok("DELETE", `/v1/agents/${agent.id}`);
});

describe("git", () => {
  const commit = (more = "") =>
    sh(
      `rm -rf repo; git init -q repo; cd repo; ${more} git commit -q --allow-empty -m x; git log -1 --format='%an <%ae> %cn'`,
    );

  test("commits as the user, as the user said, and as the repository says before both", async () => {
    expect(await commit()).toBe("alice <alice@berth.invalid> alice");
    const named = { gitName: 'Alice "A" \\ 앨리스', gitEmail: "alice@example.com" };
    expect(await alice.ok("PATCH", "/v1/me", named)).toMatchObject({ user: named });
    expect(await commit()).toBe(`${named.gitName} <alice@example.com> ${named.gitName}`);
    expect(await commit("git config user.name Repo;")).toBe("Repo <alice@example.com> Repo");
    for (const bad of [
      { gitName: "a\nb" },
      { gitName: "<x>" },
      { gitEmail: "none" },
      { gitName: " " },
      { gitName: "..." },
    ])
      expect((await alice.call("PATCH", "/v1/me", bad)).status).toBe(400);
    await alice.ok("PATCH", "/v1/me", { gitName: null, gitEmail: null });
    expect(await commit()).toBe("alice <alice@berth.invalid> alice");
  });

  test("commits all of a directory without its environment, the CLI's state and conversations", async () => {
    await alice.ok("PUT", `/v1/agents/${shell.id}/env`, { COLOUR: "deep" });
    const out = await sh(
      "git init -q . && mkdir -p .claude/projects/x .claude/commands && touch .claude.json .claude/projects/x/y .claude/commands/own && git add -A && git ls-files .berth '.claude*'; rm -rf .git .claude.json .claude",
    );
    expect(out).toBe(".claude/commands/own");
    await alice.ok("PUT", `/v1/agents/${shell.id}/env`, {});
  });

  test("commits what people write of the CLI's directory, and no secret of an MCP server that the CLI keeps there", async () => {
    const agent = await alice.createAgent("kept-in", { instructions: "Be brief." });
    const written = ["agents/a.md", "commands/x.md", "hooks/h.sh", "rules/web/r.md", "skills/s/SKILL.md", "CLAUDE.md"];
    for (const path of [...written, "settings.json"])
      await alice.ok("PUT", `/v1/agents/${agent.id}/files/.claude/${path}`, path === "settings.json" ? "{}" : "x");
    // By the real CLI, which keeps that in its own file, and copies of it.
    const { run } = await alice.runToEnd(
      agent.id,
      "demo: run claude mcp add tracker -e T=sekret -- true; claude mcp add other -- true; grep -rl sekret .claude; git init -q && git add -A; git ls-files .claude; git grep --cached -c sekret; echo over",
    );
    const said = run.result!.split("\n");
    const listed = said.slice(said.indexOf(".claude/CLAUDE.md"), said.indexOf("over"));
    expect(said).toContain(".claude/.claude.json");
    expect(listed.toSorted()).toEqual([...written, "settings.json"].map((path) => `.claude/${path}`).toSorted());
    await alice.ok("DELETE", `/v1/agents/${agent.id}`);
  });

  test("reads what is written for ssh as https, shows names as they are, and trusts what the user's agents made", async () => {
    expect(await sh("git config --get-regexp 'url.https://github.com/.insteadof'")).toContain("git@github.com:");
    const out = await sh(
      `git init -q repo && cd repo && echo x >한글.txt && git add . && git status --short; git lfs version | cut -c1-7`,
    );
    expect(out).toBe("A  한글.txt\ngit-lfs");
  });
});

test("claude without a key says in one sentence why, and what to do", async () => {
  const out = await sh("unset ANTHROPIC_API_KEY; claude 2>&1; echo $?; claude --version");
  expect(out).toMatch(/^claude: not signed in here[^\n]+\n1\n2\.\d+\.\d+ \(Claude Code\)$/);
});
