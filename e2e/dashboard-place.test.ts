/** Places and filters come back, and what ends work asks first. */
import { describe, expect, test } from "vitest";
import { eventually, serveDashboard } from "./browser/dashboard.ts";

const { meet } = serveDashboard();

describe("a place", () => {
  test("and filters are in the address", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("placed", { runtime: "shell" });
    await client.runToEnd(agent.id, "mkdir -p src; exit 3");
    await page.goto("/runs");
    await page.getByLabel("State").selectOption("failed");
    await page.locator("table.runs a").first().click();
    await page.getByRole("heading", { name: /^Run of/ }).waitFor();
    await page.goBack();
    await eventually(() => page.getByLabel("State").inputValue()).toBe("failed");
    const admin = (await meet({ admin: true })).page;
    await admin.goto("/audit");
    await admin.getByLabel("Action").selectOption("Agent created");
    await admin.getByLabel("By whom").fill("nobody");
    await admin.getByLabel("By whom").press("Tab");
    await admin.getByRole("link", { name: "Hosts" }).click();
    await admin.goBack();
    await eventually(() => admin.getByLabel("By whom").inputValue()).toBe("nobody");
    expect(await admin.getByLabel("Action").inputValue()).toBe("agent.created");
    for (const path of ["/files?dir=src", "/", "/conversation", ""]) {
      await page.goto(`/agents/${agent.id}${path}`);
      await eventually(() => page.locator(".tabs a[aria-current]").count()).toBe(1);
    }
    await page.goto(`/agents/${agent.id}/%E0%A4%A`);
    await page.getByText("There is nothing here", { exact: false }).waitFor();
  });

  test("among an agent's changes is in the address, on a phone and by keys alone, and shows what each run makes of it", async () => {
    const { page, client } = await meet({ viewport: { width: 380, height: 760 } });
    const agent = await client.createAgent("changer", { runtime: "shell", directory: "app" });
    const git = "git -c user.name=t -c user.email=t@example.com";
    const sh = async (script: string) => expect((await client.runToEnd(agent.id, script)).run.reason).toBe("completed");
    await page.goto(`/agents/${agent.id}/changes`);
    await page.getByText("There is no git repository where this agent works.").waitFor();
    await sh(`git init -q && seq 20 >'한 글.txt' && seq 9 >old && ${git} add . && ${git} commit -qm one`);
    await page.getByText("Nothing has changed since the last commit.").waitFor();
    await sh("sed -i s/^7$/seven/ '한 글.txt' && mv old new && printf '\\0' >binary");
    const rows = page.locator(".changes .row");
    await eventually(() => rows.allTextContents()).toEqual([
      "binaryuntracked",
      "newrenamed+0 −0was old",
      "한 글.txtmodified+1 −1",
    ]);
    const name = page.getByRole("button", { name: "한 글.txt" });
    await name.focus();
    await page.keyboard.press("Enter");
    const lines = page.getByRole("region", { name: "Changes in 한 글.txt" }).locator("> div");
    const shown = ["⋯ 3 unchanged lines", " 4", " 5", " 6", "-7", "+seven", " 8", " 9", " 10"];
    await eventually(() => lines.allTextContents()).toEqual(shown);
    expect(new URL(page.url()).searchParams.get("file")).toBe("한 글.txt");
    await page.reload();
    await eventually(() => lines.allTextContents()).toEqual(shown);
    expect(await name.getAttribute("aria-expanded")).toBe("true");
    await sh("sed -i s/^20$/twenty/ '한 글.txt'");
    await eventually(() => lines.allTextContents()).toEqual([
      ...shown,
      "⋯ 6 unchanged lines",
      " 17",
      " 18",
      " 19",
      "-20",
      "+twenty",
    ]);
    await page.getByRole("link", { name: "Open the file" }).click();
    await eventually(() => page.getByLabel("Content of 한 글.txt").inputValue()).toContain("\nseven\n");
    await page.goBack();
    await page.getByRole("button", { name: "binary" }).click();
    await page.getByText("It is not text, so there are no lines to show.").waitFor();
    await sh(`${git} add . && ${git} commit -qm two`);
    await page.getByText("binary no longer has any changes.").waitFor();
    await page.goBack();
    await page.getByText("한 글.txt no longer has any changes.").waitFor();
  });

  test("among files is one folder: nothing that began in another is shown or done there, nor leads back to it", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("folders", { directory: "later" });
    const files = `/v1/agents/${agent.id}/files`;
    for (const path of ["a/same.txt", "b/same.txt"]) await client.ok("PUT", `${files}/${path}`, path);
    /** Holds what matches until it is let go, and then waits until the page has taken its answer. */
    const hold = async (url: string, method: string) => {
      const { promise: isLetGo, resolve: release } = Promise.withResolvers<void>();
      await page.route(`**${url}`, (route) =>
        route.request().method() === method ? isLetGo.then(() => route.continue()) : route.continue(),
      );
      return async () => {
        const answer = page.waitForResponse((one) => one.url().endsWith(url) && one.request().method() === method);
        release();
        await (await answer).finished();
        await page.evaluate(() => fetch("/healthz").then(() => {}));
      };
    };
    await page.goto(`/agents/${agent.id}/files?dir=b`);
    await page.getByRole("link", { name: "same.txt", exact: true }).waitFor();
    const asked: string[] = [];
    page.on("request", (request) => void asked.push(`${request.method()} ${new URL(request.url()).pathname}`));
    await page.getByRole("link", { name: "Files" }).last().click();
    await page.getByRole("link", { name: "a/" }).click();
    await page.getByRole("button", { name: "Delete same.txt" }).click();
    await page.getByRole("dialog").waitFor();
    await page.goBack();
    await page.getByRole("link", { name: "b/" }).waitFor();
    expect(await page.getByRole("dialog").count()).toBe(0);
    await page.goForward();
    const endUpload = await hold(`${files}/a/new.txt`, "PUT");
    const file = { name: "new.txt", mimeType: "text/plain", buffer: Buffer.from("x") };
    await page.locator(".drop input[type=file]").setInputFiles(file);
    await page.getByText("0 B of 1 B").waitFor();
    await page.goBack();
    await page.getByRole("link", { name: "b/" }).click();
    await page.getByRole("link", { name: "same.txt", exact: true }).waitFor();
    asked.length = 0;
    await endUpload();
    expect(asked).not.toContain(`GET ${files}/a`);
    // Where the agent works is not there yet; who has left meanwhile is not led back.
    const endListing = await hold(`${files}/later`, "GET");
    const listed = page.waitForRequest((one) => one.url().endsWith(`${files}/later`));
    await page.goto(`/agents/${agent.id}/files`);
    await listed;
    await page.getByRole("link", { name: "Settings" }).click();
    await endListing();
    expect(new URL(page.url()).pathname).toBe(`/agents/${agent.id}/settings`);
  });

  test("in a conversation is the same after another tab, with as many messages as there were", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("history", { runtime: "shell" });
    const runs = [];
    for (const nth of [1, 2, 3, 4, 5, 6]) runs.push(await client.runToEnd(agent.id, `echo ${nth}; seq 40`));
    await page.route(/\/v1\/runs\?limit=50/, (route) =>
      route.continue({ url: route.request().url().replace("limit=50", "limit=3") }),
    );
    await page.goto(`/agents/${agent.id}`);
    await page.getByRole("button", { name: "Earlier messages" }).click();
    const second = page.locator(`[id="${runs[1]!.run.id}"]`);
    await second.locator(".output").waitFor();
    await second.evaluate((element) => element.scrollIntoView());
    await page.locator(".scroller").hover();
    await page.mouse.wheel(0, 60);
    const above = async () => Math.round((await second.boundingBox())!.y);
    await eventually(above).toBeLessThan(120);
    const before = await above();
    await page.getByRole("link", { name: "Settings" }).click();
    await page.getByRole("link", { name: "Conversation" }).click();
    await second.locator(".output").waitFor();
    await eventually(async () => Math.abs((await above()) - before)).toBeLessThan(3);
    expect(await page.locator(".run").count()).toBe(6);
    await page.getByRole("button", { name: "Jump to the newest line" }).click();
    await page.getByRole("link", { name: "Settings" }).click();
    await page.getByRole("link", { name: "Conversation" }).click();
    await page.locator(`[id="${runs[5]!.run.id}"]`).getByText("Finished").waitFor();
    expect(await page.getByRole("button", { name: "Jump to the newest line" }).count()).toBe(0);
    // Who goes on from the message that the address names is not brought back to it.
    const focused = () => page.evaluate(() => document.activeElement?.id);
    await page.goto(`/agents/${agent.id}?run=${runs[4]!.run.id}`);
    await eventually(focused).toBe(runs[4]!.run.id);
    await page.getByRole("button", { name: "Earlier messages" }).click();
    await second.locator(".output").waitFor();
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn))));
    expect(await focused()).not.toBe(runs[4]!.run.id);
  });

  test("in a list comes back with as many rows as there were, by Back and by a reload", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("listed", { runtime: "shell" });
    for (const nth of [1, 2, 3, 4, 5, 6]) await client.runToEnd(agent.id, `echo ${nth}`);
    await page.setViewportSize({ width: 1280, height: 260 });
    await page.route(/\/v1\/runs\?limit=50/, (route) =>
      route.continue({ url: route.request().url().replace("limit=50", "limit=3") }),
    );
    await page.goto("/runs?status=completed");
    await page.getByRole("button", { name: "Older runs" }).click();
    await eventually(() => page.locator(".runs tbody tr").count()).toBe(6);
    const top = () => page.locator("main .scroller").evaluate((box) => Math.round(box.scrollTop));
    await page.locator(".runs tbody tr").last().scrollIntoViewIfNeeded();
    const before = await top();
    expect(before).toBeGreaterThan(0);
    await page.locator(".runs a").last().click();
    await page.getByRole("heading", { name: /^Run of/ }).waitFor();
    await page.goBack();
    await eventually(top).toBe(before);
    expect(await page.locator(".runs tbody tr").count()).toBe(6);
    const trigger = { name: "hook", scheme: "token", template: "true" };
    const { id } = await client.ok<{ id: string }>("POST", `/v1/agents/${agent.id}/triggers`, trigger);
    await page.goto(`/agents/${agent.id}/triggers?deliveries=${id}`);
    await page.getByText("Nothing has come in yet.").waitFor();
    await page.getByRole("button", { name: "Hide the deliveries" }).click();
    expect(new URL(page.url()).search).toBe("");
    const scrolled = await page.locator("main .scroller").evaluate((box) => (box.scrollTop = 50));
    await page.reload();
    await eventually(top).toBe(scrolled);
    // Also where the gateway takes its time.
    const triggers = `/v1/agents/${agent.id}/triggers`;
    for (const name of ["b", "c", "d", "e", "f"]) await client.ok("POST", triggers, { ...trigger, name });
    await page.reload();
    await eventually(() => page.locator("main .card").count()).toBeGreaterThan(5);
    await page.locator("main .scroller").evaluate((box) => (box.scrollTop = box.scrollHeight));
    const low = await top();
    const { promise: isLetGo, resolve: letGo } = Promise.withResolvers<void>();
    const isTriggers = new RegExp(`${triggers}(\\?|$)`);
    await page.route(isTriggers, (route) => isLetGo.then(() => route.continue()));
    await page.clock.install();
    await Promise.all([page.waitForRequest(isTriggers), page.reload()]);
    await page.clock.fastForward(10_000);
    letGo();
    await eventually(top).toBe(low);
  });
});

describe("what ends work", () => {
  test("asks first: the workspace's stop while a run goes on, and while nothing does but perhaps a terminal", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("working", { runtime: "shell" });
    const run = await client.send(agent.id, "echo up; exec sleep 600");
    await client.firstLine(run.id);
    await page.goto("/");
    await page.getByRole("button", { name: "Stop the workspace" }).click();
    await page.getByRole("dialog").getByText("1 run in progress will be stopped").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    expect((await client.run(run.id)).status).toBe("running");
    await client.ok("POST", `/v1/runs/${run.id}/cancel`);
    await eventually(() => page.locator(".badge.busy").count()).toBe(0);
    await page.getByRole("button", { name: "Stop the workspace" }).click();
    await page.getByRole("dialog").getByText("Every terminal is closed too.").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Stop it" }).click();
    await page.getByRole("button", { name: "Start the workspace" }).waitFor();
  });

  test("asks first: a terminal that was written to, when it is closed, when the page is left and at sign-out", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("shells");
    await page.goto(`/agents/${agent.id}/terminal`);
    const rows = page.locator(".xterm-rows");
    await eventually(() => rows.textContent()).toContain("$");
    const asks = () => page.evaluate(() => !dispatchEvent(new Event("beforeunload", { cancelable: true })));
    expect(await asks()).toBe(false);
    await page.keyboard.type("sleep 600\n");
    await eventually(asks).toBe(true);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("dialog").getByText("Your open terminals will close").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Close terminal 1" }).click();
    await page.getByRole("dialog").getByText("Its shell ends").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "New" }).click();
    await page.getByRole("button", { name: "Close terminal 2" }).click();
    await page.getByRole("button", { name: "Terminal 2", exact: true }).waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Close terminal 1" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
    await page.getByText("No terminal is open.").waitFor();
    expect(await asks()).toBe(false);
  });
});
