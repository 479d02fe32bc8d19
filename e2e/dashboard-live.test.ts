/** What the dashboard shows while it happens: answers as they are written, connections that go, and what comes back. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { afterAll, describe, expect, test } from "vitest";
import type { Page, Route } from "playwright-core";
import type { Run } from "@berth/shared/resources";
import { counting, eventually, lastEnd, seeLines, send, serveDashboard } from "./browser/dashboard.ts";
import { until } from "../gateway/test/wait.ts";
import { type ModelCall, type ModelEndpoint, type Scripted, startModel } from "./harness/model-endpoint.ts";

const scripts = new Map<string, (call: ModelCall) => Scripted | null>();
let model: ModelEndpoint;
const { world, meet } = serveDashboard(async () => {
  model = await startModel((call) => scripts.get(call.prompt.trim())?.(call) ?? null);
  return { BERTH_MODEL_URL: model.url, ANTHROPIC_API_KEY: "sk-upstream" };
});
afterAll(() => model?.close());

const text = (words: string) => ({ type: "text" as const, text: words });
const use = (name: string, input: object) => ({
  type: "tool_use" as const,
  id: `toolu_${randomBytes(8).toString("hex")}`,
  name,
  input,
});

describe("an answer", () => {
  test("shows while it is written, then once, with what it took and cost", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("writer");
    const { promise: hold, resolve: release } = Promise.withResolvers<void>();
    scripts.set("Write.", () => ({ hold, blocks: [text("Half of it is here")], tokens: { input_tokens: 100_000 } }));
    await page.goto(`/agents/${agent.id}`);
    await send(page, "Write.");
    await page.locator(".item.open").getByText("Half of it is here").waitFor();
    await eventually(() => page.locator(".end.going").textContent()).toContain("Running");
    release();
    await lastEnd(page).getByText("Finished").waitFor();
    await eventually(() => page.locator(".item.text").allTextContents()).toEqual(["Half of it is here"]);
    await eventually(() => page.locator(".item.open").count()).toBe(0);
    const { costUsd, inputTokens, outputTokens } = await until(async () => {
      const { items } = await client.ok<{ items: Run[] }>("GET", "/v1/runs");
      return items[0]?.endedAt ? items[0].usage : null;
    }, "the gateway knows its end");
    expect(costUsd).toBeGreaterThan(0.01);
    expect(await lastEnd(page).textContent()).toMatch(/^Finished[\d.]+ ?(s|min)/);
    const tokens = (inputTokens + outputTokens).toLocaleString("en");
    expect(await lastEnd(page).textContent()).toContain(`$${costUsd.toFixed(2)} · ${tokens} tokens`);
    await page.goto("/");
    const card = page.locator(".card").filter({ hasText: "writer" });
    await eventually(() => card.textContent()).toMatch(
      /writerIdleHalf of it is here.*\$\d+\.\d\d in 1 run, last 30 days/,
    );
  });

  test("has its tool calls folded, with input and output inside, and edits of files as diffs", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("editor");
    const file_path = `/workspace/agent-${agent.id}/greet.txt`;
    scripts.set("Edit.", ({ nth }) => ({
      blocks: [
        [use("Write", { file_path, content: "one\nold words\nthree\n" })],
        [use("Edit", { file_path, old_string: "old words", new_string: "new words" })],
        [use("Bash", { command: "cat greet.txt; echo 4$((1+1))", description: "Show it" })],
      ][nth] ?? [text("Done.")],
    }));
    await page.goto(`/agents/${agent.id}`);
    await send(page, "Edit.");
    await lastEnd(page).getByText("Finished").waitFor();
    const [write, edit, bash] = [0, 1, 2].map((at) => page.locator(".tool").nth(at));
    await eventually(() => write!.locator(".diff .added").allTextContents()).toEqual(["+one", "+old words", "+three"]);
    await eventually(() => edit!.locator("summary").textContent()).toContain("greet.txt");
    await eventually(() => edit!.locator(".diff .removed").allTextContents()).toEqual(["-old words"]);
    await eventually(() => edit!.locator(".diff .added").allTextContents()).toEqual(["+new words"]);
    expect(await bash!.locator(".tool-body").count()).toBe(0);
    await bash!.locator("summary").click();
    await eventually(() => bash!.locator("pre").last().textContent()).toContain("new words\nthree\n42");
    expect(await bash!.locator(".input").textContent()).toBe("cat greet.txt; echo 4$((1+1))");
  });

  test("that the model refuses ends with the reason, and says who can do something about it", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("locked");
    scripts.set("Try.", () => ({ status: 401 }));
    await page.goto(`/agents/${agent.id}`);
    await send(page, "Try.");
    await lastEnd(page).getByText("Failed: the model refused the key").waitFor();
    await lastEnd(page).getByText("An admin must check ANTHROPIC_API_KEY").waitFor();
  });
});

describe("a run", () => {
  test("goes on while its tab is closed, and is there on return with each line once", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("left", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}`);
    await send(page, counting(60, 0.05));
    await page.getByText("line 5", { exact: false }).first().waitFor();
    const context = page.context();
    await page.close();
    await eventually(async () => (await client.ok<{ items: object[] }>("GET", "/v1/runs")).items[0]).toMatchObject({
      reason: "completed",
    });
    const back = await context.newPage();
    await back.goto(`/agents/${agent.id}`);
    await lastEnd(back).getByText("Finished").waitFor();
    await seeLines(back, 60);
  });

  test("is followed again after a network that swallowed everything, with each line once", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("silence", { runtime: "shell" });
    await page.clock.install();
    await page.goto(`/agents/${agent.id}`);
    await send(page, counting(200, 0.05));
    await page.getByText("line 10", { exact: false }).first().waitFor();
    process.kill(world.berth.gateway.pid, "SIGSTOP");
    try {
      await page.clock.fastForward(60_000);
      await page.getByText("Not connected.").waitFor();
    } finally {
      process.kill(world.berth.gateway.pid, "SIGCONT");
    }
    await lastEnd(page).getByText("Finished").waitFor();
    await seeLines(page, 200);
    expect(await page.getByText("Not connected.").count()).toBe(0);
  });
});

describe("a terminal", () => {
  const screenOf = (page: Page) => page.locator(".xterm-rows").textContent();
  const paste = (page: Page, words: string) =>
    page.locator(".xterm-helper-textarea").evaluate((field, data) => {
      const clipboardData = new DataTransfer();
      clipboardData.setData("text/plain", data);
      field.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
    }, words);

  test("comes back by itself after the host agent was killed, and says once what happened", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("shell", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}/terminal`);
    await eventually(() => screenOf(page)).toContain("$");
    let attempts = 0;
    page.on("websocket", (socket) => (attempts += socket.url().includes("/terminal") ? 1 : 0));
    await world.berth.host.kill();
    await eventually(() => attempts).toBeGreaterThan(1);
    await world.berth.host.start();
    await eventually(() => screenOf(page)).toMatch(/opens by itself.*\$/);
    await page.locator(".xterm-helper-textarea").focus();
    await page.keyboard.type("echo ba''ck\n");
    await eventually(() => screenOf(page)).toContain("back");
    expect((await screenOf(page))!.match(/The connection was lost/g)).toHaveLength(1);
  });

  test("has on a phone the keys that its keyboard has not", async () => {
    const { page, client } = await meet({ viewport: { width: 380, height: 760 }, hasTouch: true, isMobile: true });
    const agent = await client.createAgent("thumb");
    await page.goto(`/agents/${agent.id}/terminal`);
    const rows = page.locator(".xterm-rows");
    await eventually(() => rows.textContent()).toContain("$");
    await page.keyboard.type('echo o""ne\n');
    await eventually(() => rows.textContent()).toContain("one");
    await page.getByRole("button", { name: "Up" }).tap();
    await page.keyboard.type("-again\n");
    await eventually(() => rows.textContent()).toContain("one-again");
    await page.keyboard.type("cat\n");
    await page.getByRole("button", { name: "Ctrl" }).tap();
    await page.keyboard.type("c");
    await eventually(() => rows.textContent()).toContain("^C");
    expect(await page.getByRole("button", { name: "Ctrl" }).getAttribute("aria-pressed")).toBe("false");
    expect(await page.evaluate(() => document.activeElement!.tagName)).toBe("TEXTAREA");
  });

  test("takes a paste of 20 kB with everything in it, and shows vim", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("shell", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}/terminal`);
    await eventually(() => screenOf(page)).toContain("$");
    // Only then is the terminal in the mode in which `cat` reads.
    await page.keyboard.type("echo rea''dy; cat >pasted; wc -c pasted\n");
    await eventually(() => screenOf(page)).toContain("ready");
    const pasted = "größe 日本 🙂 and some words\n".repeat(500);
    await paste(page, pasted);
    await page.keyboard.press("Control+d");
    await eventually(() => screenOf(page)).toContain(`${Buffer.byteLength(pasted)} pasted`);
    const there = await client.call<string>("GET", `/v1/agents/${agent.id}/files/pasted`);
    expect(there.body).toBe(pasted);
    await page.keyboard.type("vim.tiny -u NONE -N pasted\n");
    await eventually(() => screenOf(page)).toMatch(/größe 日本.*"pasted"/);
    await page.keyboard.type("ggOby hand");
    await page.keyboard.press("Escape");
    await page.keyboard.type(":wq\n");
    await eventually(async () => (await client.call<string>("GET", `/v1/agents/${agent.id}/files/pasted`)).body).toBe(
      `by hand\n${pasted}`,
    );
  });
});

describe("files", () => {
  test("go up by drag, and a folder comes down as zip and tar", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("files", { runtime: "shell" });
    await client.runToEnd(agent.id, "mkdir -p keep/deep && echo leaf >keep/deep/leaf");
    await page.goto(`/agents/${agent.id}/files?dir=keep`);
    await page.getByRole("link", { name: "deep/" }).waitFor();
    const dataTransfer = await page.evaluateHandle(() => {
      const made = new DataTransfer();
      made.items.add(new File([Uint8Array.from({ length: 256 }, (_, at) => at)], "every byte.bin"));
      return made;
    });
    await page.locator(".drop").dispatchEvent("drop", { dataTransfer });
    await page.getByText("Uploaded, 256 B").waitFor();
    const answer = await fetch(`${client.url}/v1/agents/${agent.id}/files/keep/every%20byte.bin`, {
      headers: { authorization: `Bearer ${client.token}` },
    });
    expect([...new Uint8Array(await answer.arrayBuffer())]).toEqual(Array.from({ length: 256 }, (_, at) => at));
    for (const [link, list] of [
      ["zip", ["python3", "-m", "zipfile", "-l"]],
      ["tar", ["tar", "tf"]],
    ] as const) {
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("link", { name: link, exact: true }).click(),
      ]);
      const [program, ...args] = list;
      const names = execFileSync(program, [...args, await download.path()], { encoding: "utf8" });
      expect(names).toContain("keep/deep/leaf");
      expect(names).toContain("keep/every byte.bin");
    }
  });
});

describe("a message that was sent", () => {
  test("is written again below what is in the composer, and its output keeps its colours", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("again", { runtime: "shell" });
    await client.runToEnd(agent.id, "printf '\\033[31mred\\033[0m plain\\n'");
    await page.goto(`/agents/${agent.id}`);
    await page.locator(".output .ansi-1").getByText("red", { exact: true }).waitFor();
    expect(await page.locator(".output").textContent()).toContain("red plain");
    const field = page.getByLabel("Message to again");
    await field.fill("# mine");
    await page.getByRole("button", { name: "Edit and send again" }).click();
    await eventually(() => field.inputValue()).toMatch(/^# mine\nprintf /);
    await page.getByRole("button", { name: "Send again", exact: true }).click();
    await eventually(() => page.locator("article.run").count()).toBe(2);
    expect(await field.inputValue()).toContain("# mine");
    // From a run's own page it leads to where it is written, and to where it is seen to arrive.
    await field.fill("");
    const details = page.locator("article.run").first().getByRole("link", { name: "Details of this run" });
    await details.click();
    await page.getByRole("button", { name: "Edit and send again" }).click();
    await eventually(() => field.inputValue()).toMatch(/^printf /);
    await details.click();
    await page.getByRole("heading", { name: /^Run of/ }).waitFor();
    await page.getByRole("button", { name: "Send again", exact: true }).click();
    await eventually(() => page.locator("article.run").count()).toBe(3);
    expect(new URL(page.url()).pathname).toBe(`/agents/${agent.id}`);
  });

  test("from a composer that was left meanwhile takes nothing of what is written in the next one", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("leaving", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}`);
    const { promise: isLetGo, resolve: release } = Promise.withResolvers<void>();
    await page.route("**/v1/agents/*/runs", (route) => isLetGo.then(() => route.continue()));
    await send(page, "echo one");
    await page.getByRole("link", { name: "Settings" }).click();
    await page.getByRole("link", { name: "Conversation" }).click();
    const field = page.getByLabel(/^Message to/);
    await eventually(() => field.inputValue()).toBe("echo one");
    await field.fill("echo two");
    expect(await page.getByRole("button", { name: "Sending…" }).isDisabled()).toBe(true);
    release();
    await lastEnd(page).getByText("Finished").waitFor();
    expect(await field.inputValue()).toBe("echo two");
    await field.press("Enter");
    await eventually(() => page.locator(".output").allTextContents()).toEqual(["one", "two"]);
  });

  test("and whose answer was lost is sent once, whatever its agent reads by then; and Escape that stops nothing says so", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("lossy");
    const { promise: hold, resolve: release } = Promise.withResolvers<void>();
    scripts.set("Sail.", () => ({ hold, blocks: [text("Ashore.")] }));
    const calls = /\/v1\/(agents|runs)\/\w+\/(runs|messages)$/;
    const lose = async (route: Route) => {
      await route.fetch();
      await route.abort();
    };
    await page.goto(`/agents/${agent.id}`);
    const field = page.getByLabel(/^Message to/);
    const perhaps = page.getByRole("alert").getByText("It may not have been sent.");
    await page.route(calls, lose);
    await send(page, "Sail.");
    await page.locator(".end.going").getByText("Running").waitFor();
    await perhaps.waitFor();
    await page.getByRole("link", { name: "Settings" }).click();
    await page.getByRole("link", { name: "Conversation" }).click();
    await perhaps.waitFor();
    await page.getByRole("button", { name: "Queue" }).waitFor();
    expect(await page.getByRole("button", { name: "Send now" }).count()).toBe(0);
    await page.unroute(calls);
    await field.press("Enter");
    await eventually(() => field.inputValue()).toBe("");
    const asked: string[] = [];
    await page.route(/\/(interrupt|cancel)$/, (route) => {
      asked.push(new URL(route.request().url()).pathname.split("/").at(-1)!);
      return route.abort();
    });
    for (const key of ["down", "down", "up"] as const) await page.keyboard[key]("Escape");
    await page.getByRole("alert").getByText("The run could not be stopped:").waitFor();
    expect(asked).toEqual(["interrupt"]);
    // A word, whose turn is over by the time that it is sent again.
    await page.route(calls, lose);
    await send(page, "Faster.");
    await perhaps.waitFor();
    release();
    await lastEnd(page).getByText("Finished").waitFor();
    await page.unroute(calls);
    await page.getByRole("button", { name: "Send now" }).click();
    await eventually(() => field.inputValue()).toBe("");
    await eventually(() => page.locator(".said,.unread p").getByText("Faster.").count()).toBe(1);
    const { items } = await client.ok<{ items: Run[] }>("GET", `/v1/runs?agentId=${agent.id}`);
    expect(items.map(({ prompt }) => prompt)).toEqual(["Sail."]);
  });
});

test("the arrow up brings the last message again, where nothing is written", async () => {
  const { page, client } = await meet();
  const agent = await client.createAgent("again", { runtime: "shell" });
  await client.runToEnd(agent.id, "echo one; exit 1");
  await page.goto(`/agents/${agent.id}`);
  await lastEnd(page).getByText("Failed: exit code 1").waitFor();
  const field = page.getByLabel(/^Message to/);
  await field.press("ArrowUp");
  await eventually(() => field.inputValue()).toBe("echo one; exit 1");
  await field.pressSequentially("0");
  expect(await field.inputValue()).toBe("echo one; exit 10");
  await field.press("ArrowUp");
  expect(await field.inputValue()).toBe("echo one; exit 10");
});

test("Ctrl+K goes to an agent, a page, a search; ? tells the keys", async () => {
  const { page, client } = await meet();
  const agent = await client.createAgent("harbour");
  await page.goto("/");
  await page
    .getByRole("link", { name: /harbour/ })
    .first()
    .waitFor();
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Go to" }).fill("harb");
  await page.keyboard.press("Enter");
  await page.waitForURL(`**/agents/${agent.id}`);
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Go to" }).fill("api tok");
  await page.getByRole("option", { name: "API tokens" }).waitFor();
  await page.keyboard.press("Enter");
  await page.waitForURL("**/tokens");
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Go to" }).fill("lost words");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/search?q=lost%20words");
  await page.goto("/runs");
  await page.getByRole("heading", { name: "Runs" }).waitFor();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard shortcuts" }).getByText("Shift+Enter").waitFor();
});
