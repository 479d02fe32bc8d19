/** What agents write, shown in the page, and what other pages try: in a real browser under the real policy. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Agent } from "@berth/shared/resources";
import { eventually, lastEnd, serveDashboard } from "./browser/dashboard.ts";

const { world, meet } = serveDashboard();

/** HTML that does something where it is taken for that. */
const html = [
  "<script>window.pwned=1</script>",
  "<img src=x onerror=window.pwned=2>",
  "<svg onload=window.pwned=3><a xlink:href=javascript:window.pwned=4>x</a></svg>",
  '<iframe srcdoc="<script>parent.pwned=5</script>"></iframe>',
  "<form action=//evil.example><button>go</button></form>",
  "<style>@import '//evil.example/a.css'</style><link rel=stylesheet href=//evil.example/b.css>",
  "<meta http-equiv=refresh content='0;url=//evil.example'><base href=//evil.example>",
  "<object data=//evil.example/o></object><embed src=//evil.example/e><video src=//evil.example/v autoplay></video>",
  "<details open ontoggle=window.pwned=6><math href=javascript:window.pwned=7>m</math></details>",
];
const schemes = ["javascript:window.pwned=8", "JaVaScRiPt:window.pwned=9", "java\tscript:window.pwned=10"];
const links = [
  ...[...schemes, "vbscript:x", "data:text/html,<script>1</script>", "blob:x", "file:///etc/passwd"].flatMap((to) => [
    `[a](${to})`,
    `[b](<${to}>)`,
    `![c](${to})`,
    `[![d](${to})](${to})`,
    `<${to}>`,
    `[e][f${to.length}]\n\n[f${to.length}]: ${to}`,
  ]),
  "[g](java&#115;cript:window.pwned=11)",
  "[h](&#x6A;avascript&colon;window.pwned=12)",
  '[i](https://good.example/"onmouseover="window.pwned=13)',
  "[j](https://good.example 'x\" onclick=\"window.pwned=14')",
  "[k](//evil.example/k) [l](\\\\evil.example) [m](/v1/tickets) [n](?x) [o](mailto:a@b.example%0Abcc:c@d.example)",
  "![p](https://evil.example/pixel.png) ![q](//evil.example/q.png) ![r](/v1/me)",
];
const blocks = [
  '```"><img src=x onerror=window.pwned=15>\ncode</code></pre><script>window.pwned=16</script>\n```',
  "```mermaid\ngraph TD; A[<img src=x onerror=window.pwned=17>]\n```",
  "# <img src=x onerror=window.pwned=18>\n> <script>window.pwned=19</script>\n\n- [ ] <img src=x onerror=window.pwned=20>",
  "| <img src=x onerror=window.pwned=21> | b |\n|---|---|\n| <script>window.pwned=22</script> | [s](javascript:window.pwned=23) |",
  "$\\href{javascript:window.pwned=24}{x}$ [^1]\n\n[^1]: <script>window.pwned=25</script>",
  "\u202egnp.exe\u202c \u0007 \u001b]8;;javascript:window.pwned=26\u0007link\u001b]8;;\u0007 \u001b[31m <!-- --><?php ?>",
];
const evil = [...html, ...links, ...blocks].join("\n\n");
const evilName = "<img src=x onerror=pwned=27>";

/** Whatever ran, whatever element there is that none of ours is, and where links lead. */
const harm = (page: Page) =>
  page.evaluate(() => ({
    ran: (globalThis as { pwned?: unknown }).pwned,
    elements: [...document.querySelectorAll("main *")]
      .filter((element) =>
        element.matches("script,img,iframe,object,embed,video,base,meta,link,style,math,form[action]"),
      )
      .map((element) => element.outerHTML),
    handlers: [...document.querySelectorAll("*")].filter((element) =>
      element.getAttributeNames().some((name) => name.startsWith("on")),
    ).length,
    links: [...document.querySelectorAll("a")]
      .map(({ href }) => href)
      .filter((href) => !/^(https?:\/\/|mailto:|$)/.test(href)),
  }));
const none = { ran: undefined, elements: [], handlers: 0, links: [] };

/** Lines for its own run's log, where an agent may write: names and inputs of tools, results, errors. */
function sayAsTools(text: string): string {
  const lines = [
    { type: "system", subtype: "init", model: text, cwd: text, tools: [text] },
    ...["Bash", "Edit", "Write", "WebFetch", "TodoWrite", text].map((name, at) => ({
      type: "assistant",
      message: {
        content: [
          {
            type: "tool_use",
            id: `t${at}`,
            name,
            input: {
              command: text,
              description: text,
              file_path: text,
              old_string: text,
              new_string: `${text}!`,
              url: "javascript:pwned=28",
              todos: [{ content: text, status: text }],
            },
          },
          { type: "thinking", thinking: text },
        ],
      },
    })),
    {
      type: "user",
      message: {
        content: [
          {
            type: "tool_result",
            tool_use_id: "t0",
            content: [
              { type: "text", text },
              { type: "image", source: { type: "url", url: "https://evil.example/i.png" } },
            ],
          },
        ],
      },
    },
    { type: "stream_event", event: { type: "content_block_delta", delta: { type: "text_delta", text } } },
    { type: text, [text]: text },
  ];
  return `${lines.map((line) => JSON.stringify(line)).join("\n")}\n`;
}

describe("what an agent writes", () => {
  test("as Markdown, HTML and links of every kind runs nothing and asks for nothing", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent(evilName, { instructions: evil });
    await client.runToEnd(agent.id, `demo: say ${evil}`);
    await page.goto(`/agents/${agent.id}`);
    await lastEnd(page).getByText("Finished").waitFor();
    await page.locator(".text").getByText("<script>window.pwned=1</script>", { exact: false }).first().waitFor();
    expect(await harm(page)).toEqual(none);
    for (const link of await page.locator(".text a").all()) await link.hover();
    expect(await harm(page)).toEqual(none);
  });

  test("as tools, their input and results, and lines of no kind runs nothing and asks for nothing", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("tools");
    await client.ok("PUT", `/v1/agents/${agent.id}/files/lines`, sayAsTools(evil));
    await client.runToEnd(agent.id, "demo: run cat ~/lines >>/run/berth-runs/$BERTH_RUN_ID/out");
    await page.goto(`/agents/${agent.id}`);
    await lastEnd(page).getByText("Finished").waitFor();
    const tools = page.locator("main .tool");
    await eventually(() => tools.count()).toBeGreaterThanOrEqual(6);
    const folds = page.locator("main .tool:not([open]) > summary");
    for (let left = await folds.count(); left > 0; left--) await folds.first().click();
    expect(await folds.count()).toBe(0);
    // In what was unfolded, not in the line above it.
    await page.locator(".tool-body").getByText(html[0]!, { exact: false }).first().waitFor();
    expect(await harm(page)).toEqual(none);
  });

  test("as names of agents, triggers, files and directories, and as a file, is shown as it is written", async () => {
    const { page, client } = await meet({ admin: true });
    const agent = await client.createAgent(evilName, { runtime: "shell" });
    const name = `${evilName}\u202e\u001b[31m\n"'`;
    const quoted = Buffer.from(name).toString("base64");
    const script = `cat >&2 <<'END'\n${evil}\nEND\ncd ~; n=$(echo ${quoted} | base64 -d); mkdir "$n" d; echo "$n" >"d/$n"; printf %s "$n" >page.html; exit 3`;
    await client.runToEnd(agent.id, script);
    await client.ok("POST", `/v1/agents/${agent.id}/triggers`, {
      name: evilName,
      scheme: "token",
      template: evil,
    });
    await client.ok("POST", "/v1/admin/users", { name: evilName });
    const own = `/agents/${agent.id}`;
    for (const [at, list] of [
      [own, ".run"],
      [`${own}/files`, "table.files tbody"],
      [`${own}/files?dir=d`, "table.files tbody"],
      [`${own}/triggers`, ".card"],
      ["/", ".cards"],
      ["/runs", "table.runs tbody"],
      ["/users", "table tbody"],
      ["/audit", "table.audit tbody"],
    ] as const) {
      await page.goto(at);
      await page.locator(`main ${list}`).getByText("<img src=x", { exact: false }).first().waitFor();
      expect(await harm(page)).toEqual(none);
    }
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.goto(`/v1/agents/${agent.id}/files/page.html`).catch(() => undefined),
    ]);
    expect(download.suggestedFilename()).toBe("page.html");
  });

  test("to a terminal leaves title, clipboard and windows alone, and gets no word of its own as an answer", async () => {
    const { page, client } = await meet({ permissions: ["clipboard-read", "clipboard-write"] });
    const agent = await client.createAgent("screen", { runtime: "shell" });
    await client.ok("PUT", `/v1/agents/${agent.id}/files/evil.py`, speaker);
    await page.goto(`/agents/${agent.id}/terminal`);
    const rows = page.locator(".xterm-rows");
    await eventually(() => rows.textContent()).toContain("$");
    await page.evaluate(() => navigator.clipboard.writeText("mine"));
    const title = await page.title();
    const windows = page.context().pages().length;
    await page.keyboard.type("python3 evil.py; echo over=$?=\n");
    await eventually(() => rows.textContent()).toContain("over=0=");
    const answers = await client.ok<string>("GET", `/v1/agents/${agent.id}/files/answers`);
    // It was asked: where it is and what it is. Nothing of that is the program's own text, nor a line of a shell.
    expect(answers).toMatch(/R/);
    expect(answers).not.toMatch(/touch|pwned|evil|[\r\n]/);
    // A click on the link, as far as it is one: the screen stands before its text.
    const link = (await page.getByText("click me", { exact: false }).first().boundingBox())!;
    for (const at of [2, link.width - 2]) await page.mouse.click(link.x + at, link.y + link.height / 2);
    expect(await page.title()).toBe(title);
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe("mine");
    expect(page.context().pages()).toHaveLength(windows);
    expect((await harm(page)).ran).toBeUndefined();
  });
});

/** Says what terminals have obeyed and answered, and keeps the answers. */
const speaker = `
import os, select, sys, termios, tty
text = "; touch pwned; \\r"
says = [
    "\\x1b]0;" + text + "\\x07", "\\x1b]2;" + text + "\\x1b\\\\", "\\x1b[21t", "\\x1b[20t", "\\x1b[22;0t\\x1b[23;0t",
    "\\x1b]52;c;ZXZpbA==\\x07", "\\x1b]52;c;?\\x07", "\\x1b]1337;CopyToClipboard=\\x07evil\\x1b]1337;EndCopy\\x07",
    "\\x1bP$q" + text + "\\x1b\\\\", "\\x1bP$q\\"p\\x1b\\\\", "\\x1bP+q544e\\x1b\\\\", "\\x1b[c\\x1b[>c\\x1b[=c", "\\x1b[5n\\x1b[6n\\x1b[?6n",
    "\\x1b]10;?\\x07\\x1b]11;?\\x07\\x1b]4;1;?\\x07", "\\x05", "\\x1b[?1004h\\x1b[?2004h", "\\x1b[8;5000;5000t\\x1b[3;0;0t\\x1b[5t\\x1b[9;1t",
    "\\x1b]8;;javascript:window.pwned=29\\x07click me\\x1b]8;;\\x07", "\\x1b]8;;data:text/html,evil\\x07or me\\x1b]8;;\\x07",
    "\\x1b]777;notify;evil;evil\\x07\\x1b]9;evil\\x07", "\\x1b]7;file://evil.example/\\x07", "\\x1b]1337;File=inline=1:PHN2Zz4=\\x07", "\\x1bPq#0~\\x1b\\\\",
    "\\x1b[999999999b\\x1b[999999999@", "\\x1b]" + "x" * 100000,
]
before = termios.tcgetattr(0)
tty.setraw(0)
answers = b""
try:
    for one in says:
        os.write(1, one.encode())
        while select.select([0], [], [], 0.3)[0]: answers += os.read(0, 65536)
    os.write(1, b"\\x07\\x1b[?1004l\\x1b[?2004l")
finally:
    termios.tcsetattr(0, termios.TCSANOW, before)
open("answers", "wb").write(answers)
`;

describe("a page of another origin", () => {
  let elsewhere: Server;
  let origin: string;
  beforeAll(async () => {
    elsewhere = createServer((_request, response) =>
      response.writeHead(200, { "content-type": "text/html" }).end("<body>elsewhere</body>"),
    ).listen(0, "127.0.0.1");
    await once(elsewhere, "listening");
    origin = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    elsewhere.closeAllConnections();
    elsewhere.close();
  });

  test("of the same site, whose calls bring the cookie, changes nothing, reads nothing and opens no socket", async () => {
    const { page: own, client } = await meet();
    const agent = await client.createAgent("mine", { runtime: "shell" });
    const { run } = await client.runToEnd(agent.id, "echo private");
    await client.ok("PUT", `/v1/agents/${agent.id}/files/dot.gif`, dot);
    const page = await own.context().newPage();
    await page.goto(origin);
    const outcome = await page.evaluate(tryAll, { berth: world.berth.url, agentId: agent.id, runId: run.id });
    expect(outcome).toEqual({
      simple: "TypeError",
      json: "TypeError",
      read: "TypeError",
      opaque: "TypeError",
      socket: 4003,
      terminal: 4003,
      stream: "error",
      script: "error",
      image: "error",
    });
    const frames = page.frames().filter((frame) => frame !== page.mainFrame());
    expect(frames.map((frame) => frame.url())).toEqual(["chrome-error://chromewebdata/"]);
    for (const [path, body] of [
      ["/v1/agents", '{"name":"forged","x":"'],
      [`/v1/agents/${agent.id}/runs`, '{"prompt":"forged","x":"'],
      ["/session", '{"code":"forged","x":"'],
    ] as const) {
      await page.goto(origin);
      await Promise.all([
        page.waitForURL(`${world.berth.url}/**`),
        page.evaluate(post, { to: world.berth.url + path, name: body, value: '"}' }),
      ]);
    }
    await page.goto(origin);
    const [other] = await Promise.all([
      page.waitForEvent("popup"),
      page.evaluate((to) => void Object.assign(globalThis, { other: window.open(to) }), world.berth.url),
    ]);
    // It is there for its owner, and nothing that the page here can reach.
    await page.waitForFunction(() => (globalThis as unknown as { other: Window }).other.closed);
    await other.getByRole("region", { name: "Workspace" }).waitFor();
    const { items } = await client.ok<{ items: Agent[] }>("GET", "/v1/agents");
    expect(items.map(({ name }) => name)).toEqual(["mine"]);
    expect((await client.ok<{ items: unknown[] }>("GET", "/v1/runs")).items).toHaveLength(1);
    await own.reload();
    await own.getByRole("region", { name: "Workspace" }).waitFor();
    await page.close();
  });
});

/** A picture of one point. */
const dot = Buffer.from("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "base64");

/** In the page elsewhere: what each way ends as. */
async function tryAll({ berth, agentId, runId }: { berth: string; agentId: string; runId: string }) {
  const call = (path: string, init: RequestInit) =>
    fetch(berth + path, { credentials: "include", ...init }).then(
      ({ type }) => type,
      (error: Error) => error.name,
    );
  const body = JSON.stringify({ name: "forged" });
  const closeCode = (path: string) =>
    new Promise((resolve) => {
      const socket = new WebSocket(berth.replace("http", "ws") + path, "berth.v1");
      socket.addEventListener("close", ({ code }) => resolve(code));
    });
  const load = (tag: "script" | "img", path: string) =>
    new Promise((resolve) => {
      const element = document.createElement(tag);
      element.addEventListener("load", () => resolve("load"));
      element.addEventListener("error", () => resolve("error"));
      element.src = berth + path;
      document.body.append(element);
    });
  const frame = document.createElement("iframe");
  frame.src = berth;
  document.body.append(frame);
  await new Promise((resolve) => frame.addEventListener("load", resolve));
  return {
    simple: await call("/v1/agents", {
      method: "POST",
      mode: "no-cors",
      headers: { "content-type": "text/plain" },
      body,
    }),
    json: await call("/v1/agents", { method: "POST", headers: { "content-type": "application/json" }, body }),
    read: await call("/v1/me", {}),
    opaque: await call(`/v1/agents/${agentId}/reset`, { method: "POST", mode: "no-cors" }),
    socket: await closeCode("/v1/connect"),
    terminal: await closeCode(`/v1/agents/${agentId}/terminal`),
    stream: await new Promise((resolve) => {
      const source = new EventSource(`${berth}/v1/runs/${runId}/events`, { withCredentials: true });
      source.addEventListener("error", () => {
        source.close();
        resolve("error");
      });
      source.addEventListener("output", () => resolve("output"));
    }),
    script: await load("script", "/v1/me"),
    image: await load("img", `/v1/agents/${agentId}/files/dot.gif`),
  };
}

/** A form of text that is JSON, sent by the page itself. */
function post({ to, name, value }: { to: string; name: string; value: string }): void {
  const form = document.createElement("form");
  Object.assign(form, { method: "post", action: to, enctype: "text/plain" });
  const input = document.createElement("input");
  Object.assign(input, { name, value });
  form.append(input);
  document.body.append(form);
  form.submit();
}
