import { readFileSync } from "node:fs";
import { once } from "node:events";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { TerminalServerFrame } from "@berth/shared/files";
import type { Agent } from "@berth/shared/resources";
import { type Client } from "./harness/client.ts";
import { until } from "../gateway/test/wait.ts";
import { type Berth, startBerth, userIdOf } from "./harness/harness.ts";

const sessionGid = 19_002;
const memoryLimit = 150 * 2 ** 20;

let berth: Berth;
let alice: Client;
let agent: Agent;
const opened: WebSocket[] = [];
beforeAll(async () => {
  berth = await startBerth({ BERTH_IDLE_SECONDS: "2" });
  alice = await berth.client("alice");
  agent = await alice.createAgent("terminals", { runtime: "shell" });
});
afterEach(async () => {
  for (const ws of opened.splice(0)) ws.terminate();
  await until(async () => (await sessions()).length === 0, "no process of a terminal is left");
});
afterAll(() => berth?.close());

/** Processes of terminals in the user's container. */
const sessions = async () =>
  (await berth.processes(await userIdOf(alice))).filter(({ gid }) => gid === sessionGid).map(({ command }) => command);
const runs = async (command: string) => (await sessions()).filter((other) => other.startsWith(command)).length;

/** A terminal whose shell shows its prompt; `screen` is what came since the last `type`. */
interface Opening {
  of?: Agent;
  query?: string;
  protocols?: string[];
  headers?: Record<string, string>;
}
async function openTerminal({
  of = agent,
  query = "?cols=80&rows=24",
  protocols = ["berth.v1"],
  headers,
}: Opening = {}) {
  const given = headers ?? { authorization: `Bearer ${alice.token}` };
  const ws = new WebSocket(`${alice.url.replace("http", "ws")}/v1/agents/${of.id}/terminal${query}`, protocols, {
    headers: given,
  });
  opened.push(ws);
  const terminal = {
    ws,
    screen: "",
    frames: [] as TerminalServerFrame[],
    closed: once(ws, "close").then(([code]) => code as number),
    async type(text: string | Buffer, answer: string | RegExp) {
      terminal.screen = "";
      ws.send(Buffer.from(text));
      await until(
        () => (typeof answer === "string" ? terminal.screen.includes(answer) : answer.test(terminal.screen)),
        `the terminal shows ${answer}`,
      );
      return terminal.screen;
    },
    resize: (cols: number, rows: number) => ws.send(JSON.stringify({ type: "resize", cols, rows })),
  };
  const decoder = new TextDecoder();
  ws.on("message", (data: Buffer, isBinary: boolean) => {
    if (isBinary) terminal.screen += decoder.decode(data, { stream: true });
    else terminal.frames.push(JSON.parse(String(data)) as TerminalServerFrame);
  });
  await once(ws, "open");
  return terminal;
}
async function openShell(options: Opening = {}) {
  const terminal = await openTerminal(options);
  const isOver = () => terminal.ws.readyState !== WebSocket.OPEN;
  await until(() => terminal.screen.includes("$ ") || isOver(), "the shell shows its prompt");
  expect(terminal.screen).toContain("$ ");
  return terminal;
}

describe("a terminal", () => {
  test("is a login shell in the agent's directory, as the agent, without a key of the model", async () => {
    await alice.ok("PUT", `/v1/agents/${agent.id}/env`, { GREETING: "hi there" });
    const shell = await openShell({ query: "?cols=97&rows=31" });
    const said = await shell.type(
      'id -u; id -g; pwd; tty; stty size; echo "$GREETING-${ANTHROPIC_API_KEY-none}-$TERM"; shopt -q login_shell && echo log""in\n',
      /log\n|login\r\n/,
    );
    expect(said).toMatch(/2\d{4}\r\n19002\r\n/);
    expect(said).toContain(`/workspace/agent-${agent.id}\r\n/dev/pts/`);
    expect(said).toContain("31 97\r\n");
    expect(said).toContain("hi there-none-xterm-256color");
  });

  test("reads ~/.bashrc once, as people and installers write it, also where a profile does that itself or says nothing of it", async () => {
    const of = await alice.createAgent("dotfiles", { runtime: "shell" });
    const write = (name: string, text: string) => alice.ok("PUT", `/v1/agents/${of.id}/files/${name}`, text);
    const says = async () =>
      (await openShell({ of })).type('echo "$FROM_RC.${word[0]}.$FROM_PROFILE-"\n', /\.\w*-\r\n/);
    await write(".bashrc", "FROM_RC=${FROM_RC}x\ndeclare -A word=([0]=here)\nalias ll='ls -l'\n");
    expect(await says()).toContain("x.here.-\r\n");
    await write(".profile", "FROM_PROFILE=$FROM_RC\n");
    expect(await says()).toContain("x.here.x-\r\n");
    await write(".profile", '[ -z "$BASH" ] || . ~/.bashrc\n');
    expect(await says()).toContain("x.here.-\r\n");
    await write(".bash_profile", ". ~/.profile\n");
    expect(await says()).toContain("x.here.-\r\n");
    await write(".bash_profile", "FROM_PROFILE=mine\n");
    expect(await says()).toContain("x.here.mine-\r\n");
    await alice.ok("DELETE", `/v1/agents/${of.id}`);
  });

  test("begins where the agent works, before its first run too, and above that while it is missing", async () => {
    const of = await alice.createAgent("placed", { runtime: "shell", directory: "web" });
    const home = `/workspace/agent-${of.id}`;
    const begins = async () => {
      const shell = await openShell({ of });
      const first = shell.screen;
      return [first, await shell.type("pwd\n", /\/workspace\S*\r\n/)];
    };
    const [told, above] = await begins();
    expect(told).toContain("The directory web is not there yet");
    expect(above).toContain(`${home}\r\n`);
    await alice.ok("PUT", `/v1/agents/${of.id}/files/web/`);
    expect((await begins())[1]).toContain(`${home}/web\r\n`);
    await alice.ok("PATCH", `/v1/agents/${of.id}`, { directory: null });
    expect((await begins())[1]).toContain(`${home}\r\n`);
    await alice.ok("DELETE", `/v1/agents/${of.id}`);
  });

  test("follows its window, also in the midst of vim and less", async () => {
    const shell = await openShell();
    shell.resize(120, 40);
    await until(
      async () => (await shell.type("stty size\n", /\d+ \d+\r\n/)).includes("40 120"),
      "the shell knows the size",
    );
    await shell.type("seq 1000 >numbers; less numbers\n", "\r\n39\r\n");
    shell.resize(60, 20);
    // It loses a signal that comes while it writes; with the next key it looks at its window all the same.
    await until(
      async () => !/\b25\b/.test(await shell.type("r", /\b19\r\n[^]*:/)),
      "less has drawn anew, for a smaller window",
    );
    await shell.type("G", "1000");
    await shell.type("q", "$ ");
    await shell.type("vim.tiny -u NONE -N numbers\n", "numbers");
    await shell.type(":set lines? columns?\r", /lines=20[^]*columns=60/);
    shell.resize(70, 25);
    await until(
      async () => /lines=25[^]*columns=70/.test(await shell.type("\r:set lines? columns?\r", /columns=\d+/)),
      "vim knows the size",
    );
    await shell.type("\rggOgrüße 🙂\u001b:wq\r", "$ ");
    expect(await shell.type("head -1 numbers\n", "🙂\r\n")).toContain("grüße 🙂\r\n");
  });

  test("takes a paste of 200 kB at once, and bytes of every value", async () => {
    const shell = await openShell();
    const line = "0123456789abcdefghijklmnopqrstuvwxyz🙂ü".repeat(2);
    const pasted = `${line}\n`.repeat(Math.ceil(200_000 / Buffer.byteLength(`${line}\n`)));
    await shell.type("stty -echo; cat >pasted; stty echo; wc -c <pasted\n", "wc -c");
    await shell.type(`${pasted}\u0004`, `${Buffer.byteLength(pasted)}\r\n`);
    await shell.type(
      "stty raw -echo; echo read''y; head -c 256 >every; stty sane; od -An -tu1 -v every | tr -s ' \\n' ' '; echo do''ne\n",
      "ready",
    );
    const said = await shell.type(Buffer.from(Array.from({ length: 256 }, (_, at) => at)), "done");
    expect(said).toContain(Array.from({ length: 256 }, (_, at) => at).join(" "));
  });

  test("passes Ctrl-P on at once", async () => {
    const shell = await openShell();
    await shell.type("echo for''mer\n", "former");
    await shell.type("\u0010", "echo for''mer");
    await shell.type("\n", "former\r\n");
  });

  test("tells the exit code and closes with 1000", async () => {
    const shell = await openShell();
    shell.ws.send(Buffer.from("exit 7\n"));
    expect(await shell.closed).toBe(1000);
    expect(shell.frames).toEqual([{ type: "exit", code: 7 }]);
  });

  test("that nobody reads stands still, and costs no memory", async () => {
    const shell = await openShell();
    await shell.type("yes | tee /dev/null | cat & sleep 0.2; echo\n", "y\r\ny");
    shell.ws.pause();
    const [program] = (await berth.processes(await userIdOf(alice))).filter(({ command }) => command.startsWith("yes"));
    const written = () => /^wchar: (\d+)/m.exec(readFileSync(`/proc/${program!.pid}/io`, "utf8"))![1]!;
    let before = "";
    await until(() => before === (before = written()), "the program stands still");
    expect(Math.max(berth.host.memoryBytes(), berth.gateway.memoryBytes())).toBeLessThan(memoryLimit);
  });

  test("whose program does not read holds the client back, and ends with it", async () => {
    const shell = await openShell();
    await shell.type("stty raw -echo; echo wai''ting; sleep 1000\n", "waiting");
    for (let at = 0; at < 64; at++) shell.ws.send(Buffer.alloc(2 ** 20 - 1, "x"));
    await until(() => shell.ws.bufferedAmount > 2 ** 20, "the client waits");
    expect(Math.max(berth.host.memoryBytes(), berth.gateway.memoryBytes())).toBeLessThan(memoryLimit);
    shell.ws.terminate();
    await until(async () => (await sessions()).length === 0, "the terminal has ended");
  });
});

describe("the end of a terminal", () => {
  test("takes all that it started with it, and nothing of another one", async () => {
    const [one, two] = [await openShell(), await openShell()];
    await one.type(
      "setsid sleep 1001 & nohup sleep 1002 >/dev/null 2>&1 & (trap '' HUP TERM; sleep 1003; true) & echo be''gun\n",
      "begun",
    );
    await two.type("setsid sleep 2001 & echo be''gun\n", "begun");
    await until(async () => (await runs("sleep 100")) === 3, "all are running");
    one.ws.close();
    await until(async () => (await runs("sleep 100")) === 0, "what the first started has ended");
    expect(await runs("sleep 2001")).toBe(1);
    expect(await two.type("echo still he''re\n", "still here")).toContain("still here");
  });

  test("that was the last ends also what had hidden", async () => {
    const shell = await openShell();
    await shell.type("env -i setsid sleep 3001 & echo be''gun\n", "begun");
    await until(async () => (await runs("sleep 3001")) === 1, "it is running");
    shell.ws.terminate();
    await until(async () => (await sessions()).length === 0, "nothing is left");
  });

  test("comes with its token's revocation, 4001", async () => {
    const { token, id } = await alice.ok<{ token: string; id: string }>("POST", "/v1/tokens", {
      name: "short",
      expiresInSeconds: 600,
    });
    const shell = await openShell({ headers: { authorization: `Bearer ${token}` } });
    await alice.ok("DELETE", `/v1/tokens/${id}`);
    expect(await shell.closed).toBe(4001);
  });

  test("comes with its workspace's and its agent's, told as it is", async () => {
    const stopped = await openShell();
    await alice.ok("POST", "/v1/workspace/stop");
    expect(await stopped.closed).toBe(1000);
    expect(stopped.frames[0]?.type).toBe("exit");
    const gone = await alice.createAgent("gone", { runtime: "shell" });
    const shell = await openShell({ of: gone });
    await alice.ok("DELETE", `/v1/agents/${gone.id}`);
    expect(await shell.closed).toBe(1000);
  });

  test("comes with the host agent's, however that ends, and a new one opens after", async () => {
    const first = await openShell();
    await first.type("setsid sleep 4001 & echo be''gun\n", "begun");
    await berth.host.kill();
    await first.closed;
    await berth.host.start();
    await until(async () => (await sessions()).length === 0, "what was left has ended");
    const second = await openShell();
    await berth.host.kill("SIGTERM");
    expect(await second.closed).toBe(1012);
    await berth.host.start();
    await openShell();
  });
});

describe("whoever opens a terminal", () => {
  test("keeps the workspace up by it", async () => {
    const shell = await openShell();
    await until(async () => (await alice.workspace()).connections === 1, "it counts");
    const { containerId } = await alice.workspace();
    await shell.type("sleep 4; echo aw''ake\n", "awake");
    expect((await alice.workspace()).containerId).toBe(containerId);
  });

  test("gets at most five an agent, and is told", async () => {
    const shells = await Promise.all(Array.from({ length: 5 }, () => openShell()));
    const sixth = await openTerminal();
    expect(await sixth.closed).toBe(1011);
    expect(sixth.frames).toMatchObject([{ type: "error", code: "conflict" }]);
    shells[0]!.ws.close();
    await shells[0]!.closed;
    await openShell();
  });

  test("with a ticket, from the dashboard's origin alone", async () => {
    const { ticket } = await alice.ok<{ ticket: string }>("POST", "/v1/tickets");
    const protocols = ["berth.v1", `ticket.${ticket}`];
    await openShell({ protocols, headers: { origin: berth.url.replace("127.0.0.1", "localhost") } });
    const foreign = await openTerminal({ protocols, headers: { origin: "http://evil.example" } });
    expect(await foreign.closed).toBe(4003);
  });

  test("for an agent of another user finds nothing", async () => {
    const bob = await berth.client("bob");
    const ws = new WebSocket(`${bob.url.replace("http", "ws")}/v1/agents/${agent.id}/terminal`, ["berth.v1"], {
      headers: { authorization: `Bearer ${bob.token}` },
    });
    ws.on("error", () => undefined);
    const [, answer] = await once(ws, "unexpected-response");
    expect(answer.statusCode).toBe(404);
  });
});

test("30 terminals leave no descriptor at the host agent", async () => {
  await openShell();
  const before = berth.host.descriptors();
  for (let at = 0; at < 30; at++) {
    const shell = await openShell();
    shell.ws.close();
    await shell.closed;
    await until(async () => (await runs("bash -l")) === 1, "it has ended");
  }
  await until(() => berth.host.descriptors() <= before + 2, "the descriptors are closed");
});
