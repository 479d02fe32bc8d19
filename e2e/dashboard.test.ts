/** The dashboard as a person uses it: a real browser before a real Berth. */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Browser } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import type { Agent } from "@berth/shared/resources";
import { linkOf, noteTasks } from "./browser/browser.ts";
import { appendEvents } from "./browser/long-transcript.ts";
import { counting, eventually, lastEnd, seeLines, send, serveDashboard } from "./browser/dashboard.ts";
import { until } from "../gateway/test/wait.ts";
import { type Berth } from "./harness/harness.ts";

const { world, meet, stranger } = serveDashboard();
let berth: Berth;
let browser: Browser;
beforeAll(() => {
  ({ berth, browser } = world);
});

describe("sign-in", () => {
  test("by the printed link works once, and the code leaves the address", async () => {
    const link = linkOf(berth, "ann");
    const page = await stranger();
    await page.goto(link);
    await page.getByRole("heading", { name: "Create your first agent" }).waitFor();
    expect(page.url()).toBe(`${berth.url}/`);
    const other = await stranger();
    await other.goto(link);
    await other.getByText("already been used or has expired").waitFor();
  });

  test("by a token works, a wrong one is explained, and sign-out is real", async () => {
    const page = await stranger();
    await page.goto("/runs");
    const field = page.getByLabel("Sign in with an API token");
    await field.fill("eyJ.wrong.token");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("This token is not accepted").waitFor();
    await field.fill(berth.cli("token", "ann"));
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Runs" }).waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out.").waitFor();
    await page.reload();
    await field.waitFor();
  });

  test("is asked for again where the session ended, and the page is the same afterwards", async () => {
    const page = await stranger();
    await page.goto("/tokens");
    const token = berth.cli("token", "ann");
    await page.getByLabel("Sign in with an API token").fill(token);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "API tokens" }).waitFor();
    const client = await berth.client("ann");
    const { sub: _, ...claims } = JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString()) as Record<
      string,
      string
    >;
    await client.ok("DELETE", `/v1/tokens/${claims["jti"]}`);
    await page.getByText("Your session has ended").waitFor();
    await page.getByLabel("Sign in with an API token").fill(berth.cli("token", "ann"));
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "API tokens" }).waitFor();
  });
});

describe("agents", () => {
  test("the first is made in one field, and its first run is seen to its end", async () => {
    const { page } = await meet();
    await page.getByLabel("Name of a new agent").fill("first");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Write the first message" }).waitFor();
    await send(page, "demo: say ## Hello\n\n**bold** and `code`");
    await page.getByRole("heading", { name: "Hello" }).waitFor();
    await lastEnd(page).getByText("Finished").waitFor();
    await send(page, "Make a file, please.");
    await eventually(() => page.locator(".run").count()).toBe(2);
    await lastEnd(page).getByText("Finished").waitFor();
    const call = page.locator(".tool");
    await eventually(() => call.locator("summary").textContent()).toContain("hello.md");
    await call.locator("summary").click();
    await call.getByText("You wrote: Make a file, please.").last().waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "Hello" }).waitFor();
    await eventually(() => page.locator(".run").count()).toBe(2);
  });

  test("are renamed, instructed and deleted only by their typed name", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("before");
    await page.goto(`/agents/${agent.id}/settings`);
    await page.getByLabel("Name", { exact: true }).fill("after");
    await page.getByLabel("Instructions").fill("Be brief.");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved.").waitFor();
    expect((await client.ok<{ instructions: string }>("GET", `/v1/agents/${agent.id}`)).instructions).toBe("Be brief.");
    await page.getByRole("button", { name: "Delete this agent" }).click();
    const go = page.getByRole("button", { name: "Delete permanently" });
    expect(await go.isDisabled()).toBe(true);
    await page.getByLabel(/^Type/).fill("after");
    await go.click();
    await page.getByRole("heading", { name: "Create your first agent" }).waitFor();
    expect((await client.call("GET", `/v1/agents/${agent.id}`)).status).toBe(404);
  });

  test("clone a repository that is named as they are made, and work elsewhere once the settings say so", async () => {
    const { page, client } = await meet();
    await page.getByLabel("Name of a new agent").fill("cloner");
    await page.getByLabel("Repository to clone").fill("https://git.example.com/team/shop.git");
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("heading", { name: "Write the first message" }).waitFor();
    const [made] = (await client.ok<{ items: Agent[] }>("GET", "/v1/agents")).items;
    expect(made).toMatchObject({ directory: "shop", repository: "https://git.example.com/team/shop.git" });
    await page.goto(`/agents/${made!.id}/files`);
    await page.getByRole("button", { name: "Upload" }).waitFor();
    expect(await page.getByRole("navigation", { name: "Location" }).textContent()).toBe("Files");
    await page.goto(`/agents/${made!.id}/settings`);
    await page.getByText("is cloned with the first message").waitFor();
    await page.getByLabel("Directory").fill("shop/web");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved.").waitFor();
    await client.ok("PUT", `/v1/agents/${made!.id}/files/shop/web/page.html`, "x", { "content-type": "text/html" });
    await page.getByRole("link", { name: "Files" }).click();
    await page.getByText("page.html").waitFor();
    expect(await page.getByRole("navigation", { name: "Location" }).textContent()).toBe("Files / shop / web");
  });

  test("begin a new conversation only when asked twice", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("talker");
    await client.runToEnd(agent.id, "demo: say before");
    await page.goto(`/agents/${agent.id}/settings`);
    await page.getByRole("button", { name: "Start a new conversation" }).click();
    await page.getByRole("button", { name: "Start over" }).click();
    await page.getByText("The next message is its first.").waitFor();
    const { run } = await client.runToEnd(agent.id, "Hello");
    expect(run.result).toContain("I have seen one message of yours.");
  });

  test("have an environment whose values are never shown", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("env", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}/settings`);
    const save = page.getByRole("button", { name: "Save the variables" });
    const add = async (at: number, name: string, value: string) => {
      await page.getByRole("button", { name: "Add a variable" }).click();
      await page.getByLabel(`Name of variable ${at}`).fill(name);
      await page.getByLabel(`Value of ${name}`, { exact: true }).fill(value);
    };
    await add(1, "SECRET_WORD", "tide");
    await add(2, "OTHER", "moon");
    await save.click();
    await eventually(() => page.getByText("set, hidden").count()).toBe(2);
    await page.getByRole("button", { name: "Replace the value of SECRET_WORD" }).click();
    expect(await page.getByLabel("Value of SECRET_WORD", { exact: true }).inputValue()).toBe("");
    await page.getByLabel("Value of SECRET_WORD", { exact: true }).fill("ebb");
    await page.getByRole("button", { name: "Remove OTHER" }).click();
    await add(1, "1BAD", "x");
    await save.click();
    await page.getByRole("alert").getByText("1BAD can't be the name of a variable").waitFor();
    await page.getByLabel("Name of variable 1").fill("THIRD");
    await save.click();
    await eventually(() => page.getByText("set, hidden").count()).toBe(2);
    const { run } = await client.runToEnd(agent.id, 'echo "$SECRET_WORD,$OTHER,$THIRD"');
    expect(run.result).toBe("ebb,,x\n");
  });

  test("at ten it says so before the click, in every tab", async () => {
    const { page, client } = await meet();
    for (let at = 1; at <= 9; at++) await client.createAgent(`a${at}`);
    await page.reload();
    const other = await page.context().newPage();
    await other.goto("/");
    await page.getByLabel("Name of a new agent").fill("a10");
    await page.keyboard.press("Enter");
    await page.getByText("All 10 agents are in use").waitFor();
    await other.getByText("All 10 agents are in use").first().waitFor();
    expect(await page.getByLabel("Name of a new agent").count()).toBe(0);
  });
});

describe("an account", () => {
  test("has the author of the commits, which the user changes", async () => {
    const { page, client } = await meet();
    await page.getByRole("link", { name: "Account" }).click();
    await page.getByLabel("Author name").fill("Ada Lovelace");
    await page.getByLabel("Author email").fill("ada@example.com");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved.").waitFor();
    const agent = await client.createAgent("committer", { runtime: "shell" });
    const { run } = await client.runToEnd(
      agent.id,
      "git init -q; git commit -q --allow-empty -m x; git log --format='%an %ae'",
    );
    expect(run.result).toBe("Ada Lovelace ada@example.com\n");
    await page.reload();
    expect(await page.getByLabel("Author name").inputValue()).toBe("Ada Lovelace");
  });
});

describe("a run in progress", () => {
  test("goes on over a reload, with each line once", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("count", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}`);
    await send(page, counting(60, 0.05));
    await page.getByText("line 10", { exact: false }).first().waitFor();
    await page.reload();
    await lastEnd(page).getByText("Finished").waitFor();
    await seeLines(page, 60);
  });

  test("goes on while the host agent is killed, and nothing is lost or doubled", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("count", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}`);
    await send(page, counting(100, 0.05));
    await page.getByText("line 10", { exact: false }).first().waitFor();
    await berth.host.kill();
    await page.getByText("Not connected.").waitFor();
    await berth.host.start();
    await lastEnd(page).getByText("Finished").waitFor();
    await seeLines(page, 100);
    expect(await page.getByText("Not connected.").count()).toBe(0);
  });

  test("is seen by a second tab as it happens, and stopped from there", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("two", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}`);
    const other = await page.context().newPage();
    await other.goto(`/agents/${agent.id}`);
    await other.getByRole("heading", { name: "Write a shell script" }).waitFor();
    await send(page, counting(1000, 0.05));
    await other.getByText("line 5", { exact: false }).first().waitFor();
    await other.getByRole("button", { name: "Stop" }).last().click();
    await lastEnd(page).getByText("Stopped", { exact: true }).waitFor();
    await lastEnd(other).getByText("Stopped", { exact: true }).waitFor();
    const reason = async () => (await client.ok<{ items: { reason: string }[] }>("GET", "/v1/runs")).items[0]!.reason;
    await eventually(reason).toBe("cancelled");
  });

  test("of the fourth agent waits with the names of the three, and starts once one is stopped", async () => {
    const { page, client } = await meet();
    const agents = await Promise.all(
      ["one", "two", "three", "four"].map((name) => client.createAgent(name, { runtime: "shell" })),
    );
    for (const agent of agents.slice(0, 3)) await client.send(agent.id, "sleep 600");
    await page.goto(`/agents/${agents[3]!.id}`);
    await send(page, "echo hello");
    await page.locator(".end.going").getByRole("link", { name: "two" }).waitFor();
    await page.goto("/");
    await page.getByRole("button", { name: "Stop", exact: true }).first().click();
    await page.goto(`/agents/${agents[3]!.id}`);
    await lastEnd(page).getByText("Finished").waitFor();
  });

  test("warns where memory gets short, and says it when it ran out", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("memory", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}`);
    await send(
      page,
      "(head -c 850000000 /dev/zero; until [ -e seen ]; do sleep 0.2; done) | tail -c 850000000 >/dev/null",
    );
    await page.getByText("Memory is nearly full:").waitFor();
    await client.ok("PUT", `/v1/agents/${agent.id}/files/seen`, "");
    await lastEnd(page).getByText("Finished").waitFor();
    await eventually(() => page.getByText("Memory is nearly full:").count()).toBe(0);
    await send(page, "head -c 3000000000 /dev/zero | tail -c 3000000000 >/dev/null");
    await lastEnd(page).getByText("Stopped: out of memory").waitFor();
    await lastEnd(page).getByText("smaller steps").waitFor();
  });
});

describe("a hostile transcript", () => {
  const evil = [
    "<script>window.pwned=1</script> <img src=x onerror=alert(1)> <svg onload=alert(2)>",
    "[click](javascript:alert(3)) [data](data:text/html,x) ![pixel](https://evil.example/p.png)",
    "[good](https://good.example/)",
  ].join("\n\n");

  test("runs nothing, loads nothing, links nowhere but to the web", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("evil");
    const shell = await client.createAgent("<b>shell</b>", { runtime: "shell" });
    await client.runToEnd(agent.id, `demo: say ${evil}`);
    await client.runToEnd(shell.id, `cat <<'EOF'\n${evil}\nEOF\nprintf '\\033[31mred\\033[0m \\000 \\a \\xff end\\n'`);
    await page.goto(`/agents/${agent.id}`);
    await lastEnd(page).getByText("Finished").waitFor();
    await page.locator(".text").getByText("<script>window.pwned=1</script>", { exact: false }).waitFor();
    expect(
      await page
        .locator("main a[href]")
        .evaluateAll((links) =>
          links.map((link) => (link as HTMLAnchorElement).href).filter((href) => !href.startsWith(location.origin)),
        ),
    ).toEqual(["https://evil.example/p.png", "https://good.example/"]);
    await page.goto(`/agents/${shell.id}`);
    await page.getByText("red ␀ ␇ � end", { exact: false }).waitFor();
    expect(await page.evaluate(() => (globalThis as { pwned?: number }).pwned)).toBeUndefined();
    expect(await page.locator("main script, main img, main iframe, main b").count()).toBe(0);
  });

  test("of five megabytes in one line is shown and can be left", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("long", { runtime: "shell" });
    await client.runToEnd(agent.id, "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo the end");
    const longestTask = await noteTasks(browser, page);
    await page.goto(`/agents/${agent.id}`);
    await page.getByText("the end", { exact: false }).last().waitFor();
    await lastEnd(page).getByText("Finished").waitFor();
    expect(await longestTask()).toBeLessThan(200);
  });

  test("of 20,000 events loads and scrolls without a task over 200 ms", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("many");
    await client.runToEnd(agent.id, `demo: run ${appendEvents(20_000)}`);
    const longestTask = await noteTasks(browser, page);
    await page.goto(`/agents/${agent.id}`);
    await page.getByText("event 19999", { exact: false }).first().waitFor();
    await lastEnd(page).getByText("Finished").waitFor();
    const scroller = page.getByRole("region", { name: "Conversation with many" });
    await scroller.hover();
    for (let at = 0; at < 40; at++) await page.mouse.wheel(0, -4000);
    for (const part of [0.5, 0.25, 0]) {
      await scroller.evaluate((box, to) => (box.scrollTop = box.scrollHeight * to), part);
      await page.locator(".chunk > *").first().waitFor();
    }
    await page.getByText("event 1", { exact: true }).first().waitFor();
    expect(await page.locator(".chunk > *").count()).toBeLessThan(2000);
    expect(await longestTask()).toBeLessThan(200);
  });
});

describe("terminal and files", () => {
  test("a terminal is a shell of the agent, resizes, pages and comes back", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("shell");
    await page.goto(`/agents/${agent.id}/terminal`);
    const rows = page.locator(".xterm-rows");
    await eventually(() => rows.textContent()).toContain("$");
    await page.keyboard.type("pwd; echo größe 日本 $((6*7)); seq 500 > n\n");
    await eventually(() => rows.textContent()).toContain(`/workspace/agent-${agent.id}`);
    await eventually(() => rows.textContent()).toContain("größe 日本 42");
    await page.keyboard.type("less n\n");
    await eventually(() => rows.textContent()).toMatch(/^12345/);
    await page.keyboard.press("Shift+G");
    await eventually(() => rows.textContent()).toContain("500");
    await page.keyboard.type("q");
    await eventually(() => rows.textContent()).toContain("größe");
    await page.setViewportSize({ width: 900, height: 500 });
    await until(async () => {
      await page.keyboard.type("echo width=$(tput cols)=\n");
      const told = [...((await rows.textContent()) ?? "").matchAll(/width=(\d+)=/g)].at(-1);
      return told && Number(told[1]) < 110;
    }, "the shell knows its new size");
    await page.getByRole("button", { name: "New" }).click();
    await page.getByRole("button", { name: "Terminal 2", exact: true }).waitFor();
    await page.getByRole("link", { name: "Conversation" }).click();
    await page.getByRole("link", { name: "Terminal" }).click();
    await page.getByRole("button", { name: "Terminal 1", exact: true }).click();
    await page.keyboard.type("exit\n");
    await eventually(() => rows.textContent()).toContain("Press Enter for a new one");
  });

  test("files go up and come down byte for byte, are edited, and deleted", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("files");
    await page.goto(`/agents/${agent.id}/files`);
    const bytes = randomBytes(3_000_000);
    const name = "größe & 100%.bin";
    await page.locator("input[type=file]").setInputFiles([
      { name, mimeType: "application/octet-stream", buffer: bytes },
      { name: "note.txt", mimeType: "text/plain", buffer: Buffer.from("one\ntwo\n") },
    ]);
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByLabel(`Download ${name}`).click()]);
    const hash = (data: Buffer) => createHash("sha256").update(data).digest("hex");
    expect(download.suggestedFilename()).toContain("100%.bin");
    expect(hash(readFileSync(await download.path()))).toBe(hash(bytes));
    await page.getByRole("link", { name: "note.txt", exact: true }).click();
    await page.getByLabel("Content of note.txt").fill("one\nthree\n");
    await page.keyboard.press("Control+s");
    await eventually(async () => (await client.call<string>("GET", `/v1/agents/${agent.id}/files/note.txt`)).body).toBe(
      "one\nthree\n",
    );
    await page.goBack();
    await page.getByLabel("Delete note.txt").click();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await eventually(() => page.getByText("note.txt", { exact: true }).count()).toBe(0);
  });
});

describe("triggers", () => {
  test("are made with a secret that shows once, and what comes in is seen and taken once more", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("hooked", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}/triggers`);
    await page.getByLabel("Name of a new trigger").fill("builds");
    await page.getByLabel("How the sender signs").selectOption("token");
    await page.getByLabel("Message to the agent").fill("echo build {{payload.number}} broke");
    const make = page.getByRole("button", { name: "Create the trigger" });
    await make.click();
    await page.getByText("Confirm below that it is meant to run them").waitFor();
    await page.getByLabel("Run what the sender writes").check();
    await make.click();
    const secret = (await page.locator(".shown-once pre").textContent()) ?? "";
    const address = (await page.locator(".secret .address code").textContent()) ?? "";
    const deliver = (authorization: string) =>
      fetch(berth.url + new URL(address).pathname, {
        method: "POST",
        headers: { authorization, "content-type": "application/json", "idempotency-key": "one" },
        body: '{"number":7}',
      });
    expect((await deliver("Bearer wrong")).status).toBe(401);
    expect((await deliver(`Bearer ${secret}`)).status).toBe(202);
    expect((await deliver(`Bearer ${secret}`)).status).toBe(200);
    await page.getByRole("button", { name: "Deliveries" }).click();
    await page.getByRole("row", { name: /Finished.*one/ }).waitFor();
    await page.getByRole("button", { name: "Replay" }).click();
    await eventually(() => page.getByRole("row", { name: /Finished/ }).count()).toBe(2);
    await page.getByRole("link", { name: "Conversation" }).click();
    await page.getByText("From a webhook", { exact: false }).first().waitFor();
    await eventually(() => page.locator(".output").getByText("build 7 broke").count()).toBe(2);
  });

  test("get a new secret: the old one ends at once, or in a day where that is asked for", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("rotated", { runtime: "shell" });
    const made = { name: "builds", scheme: "token", template: "{{payload.none}}" };
    const hook = await client.ok<{ url: string; secret: string }>("POST", `/v1/agents/${agent.id}/triggers`, made);
    await page.goto(`/agents/${agent.id}/triggers`);
    const rotate = async (old: string, keepsOld: boolean) => {
      await page.getByRole("button", { name: "New secret…" }).click();
      if (keepsOld) await page.getByLabel("Keep the old one valid for a day").check();
      await page.getByRole("button", { name: "Create it" }).click();
      const shown = async () => (await page.locator(".shown-once pre").textContent()) ?? "";
      await eventually(shown).not.toBe(old);
      return shown();
    };
    const statusOf = async (secret: string) => {
      const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
      return (await fetch(berth.url + new URL(hook.url).pathname, { method: "POST", headers, body: "{}" })).status;
    };
    const second = await rotate(hook.secret, false);
    expect([await statusOf(hook.secret), await statusOf(second)]).toEqual([401, 202]);
    const third = await rotate(second, true);
    expect([await statusOf(second), await statusOf(third)]).toEqual([202, 202]);
  });
});

describe("the page", () => {
  test("says that the demo model answers, and shows the workspace live", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("busy", { runtime: "shell" });
    await page.goto("/runs");
    const note = page.locator(".warning", { hasText: "Demo model." });
    await note.getByRole("button").click();
    await page.reload();
    await page.getByRole("heading", { name: "Runs" }).waitFor();
    expect(await note.count()).toBe(0);
    await client.send(agent.id, "until [ -e seen ]; do sleep 0.2; done");
    const bar = page.getByRole("region", { name: "Workspace" });
    await bar.getByText("1 of 3").waitFor();
    await client.ok("PUT", `/v1/agents/${agent.id}/files/seen`, "");
    await bar.getByText("0 of 3").waitFor();
    await page.getByRole("row", { name: /Finished.*seen/ }).waitFor();
  });

  test("can be walked by keyboard alone", async () => {
    const { page, client } = await meet();
    await client.createAgent("keys", { runtime: "shell" });
    await page.reload();
    await page.locator('a[href^="/agents/"]').first().waitFor();
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to content");
    const focus = page.locator(":focus");
    for (let at = 0; at < 12 && (await focus.getAttribute("href")) === null; at++) await page.keyboard.press("Tab");
    while (!(await focus.getAttribute("href"))?.startsWith("/agents/")) await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Write a shell script" }).waitFor();
    await page.keyboard.type("echo by keys");
    await page.keyboard.press("Enter");
    await lastEnd(page).getByText("Finished").waitFor();
  });
});

test("the page is small, cached for ever by its names, and locked down", async () => {
  const page = await fetch(`${berth.url}/`);
  expect(page.headers.get("content-security-policy")).not.toMatch(/unsafe|https?:|data:|\*/);
  expect(page.headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
  const files = [...(await page.text()).matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map((found) => found[1]!);
  const answers = await Promise.all(
    files.map((file) => fetch(berth.url + file, { headers: { "accept-encoding": "gzip" } })),
  );
  for (const answer of answers) {
    expect(answer.headers.get("cache-control")).toContain("immutable");
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
  }
  const sizes = answers.map((answer) => Number(answer.headers.get("content-length")));
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(60_000);
  expect((await fetch(`${berth.url}/v1/nothing`, { headers: { accept: "text/html" } })).status).toBe(404);
  expect((await fetch(`${berth.url}/nothing`, { headers: { accept: "text/html" } })).status).toBe(200);
  expect((await fetch(`${berth.url}/nothing`)).status).toBe(404);
});
