/** What a person typed, pressed and chose is kept, done once, and asked about where it ends work. */
import type { Locator, Page, Route } from "playwright-core";
import { describe, expect, test } from "vitest";
import { eventually, lastEnd, send, serveDashboard } from "./browser/dashboard.ts";
import type { Run } from "@berth/shared/resources";

const { world, meet } = serveDashboard();

/** Whether a reload would ask first. */
const asks = (page: Page) => page.evaluate(() => !dispatchEvent(new Event("beforeunload", { cancelable: true })));

describe("a message", () => {
  test("whose answer was lost is sent once, however often it is pressed", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("lossy", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}`);
    await page.route("**/v1/agents/*/runs", async (route) => {
      await route.fetch();
      await route.abort();
    });
    await send(page, "echo once >> count.txt; cat count.txt");
    await page.getByRole("alert").getByText("It may not have been sent.").waitFor();
    await page.unroute("**/v1/agents/*/runs");
    await page.reload();
    await page.getByLabel(/^Message to/).press("Enter");
    await eventually(() => page.getByLabel(/^Message to/).inputValue()).toBe("");
    await lastEnd(page).getByText("Finished").waitFor();
    const { items } = await client.ok<{ items: Run[] }>("GET", `/v1/runs?agentId=${agent.id}`);
    expect(items).toHaveLength(1);
  });

  test("that is sent again goes once too, however often that is pressed", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("again", { runtime: "shell" });
    await client.runToEnd(agent.id, "echo once more");
    await page.goto(`/agents/${agent.id}`);
    await page.route("**/v1/agents/*/runs", async (route) => {
      await route.fetch();
      await route.abort();
    });
    const again = page.locator(".run").first().getByRole("button", { name: "Send again", exact: true });
    await again.click();
    await page.locator(".message-actions").getByRole("alert").waitFor();
    await page.unroute("**/v1/agents/*/runs");
    await again.click();
    await page.locator(".message-actions").getByRole("alert").waitFor({ state: "detached" });
    const { items } = await client.ok<{ items: Run[] }>("GET", `/v1/runs?agentId=${agent.id}`);
    expect(items).toHaveLength(2);
  });

  test("has a second line on a phone, where Enter writes and the button sends", async () => {
    const { page, client } = await meet({ hasTouch: true, isMobile: true, viewport: { width: 390, height: 844 } });
    const agent = await client.createAgent("phone", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}`);
    const field = page.getByLabel(/^Message to/);
    await field.fill("echo one");
    await field.press("Enter");
    await field.pressSequentially("echo two");
    expect(await field.inputValue()).toBe("echo one\necho two");
    await page.getByRole("button", { name: "Send" }).click();
    await page.locator(".output").getByText("two").waitFor();
  });
});

describe("what is not saved", () => {
  test("is there again after another tab, and a reload asks first, where it is a secret", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("secretive");
    await page.goto(`/agents/${agent.id}/settings`);
    expect(await asks(page)).toBe(false);
    await page.getByRole("button", { name: "Add a variable" }).click();
    await page.getByLabel("Name of variable 1").fill("TOKEN");
    await page.getByLabel("Value of TOKEN").fill("s3cret");
    await page.getByRole("link", { name: "Triggers" }).click();
    await page.getByRole("link", { name: "Settings" }).click();
    expect(await page.getByLabel("Value of TOKEN").inputValue()).toBe("s3cret");
    expect(await asks(page)).toBe(true);
    expect(await page.evaluate(() => JSON.stringify([sessionStorage, localStorage]))).not.toContain("s3cret");
    await page.getByRole("button", { name: "Save the variables" }).click();
    await page.getByText("set, hidden").waitFor();
    expect(await asks(page)).toBe(false);
  });

  test("is there again after another tab and a reload: a file, settings, a trigger's message", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("writer");
    await client.ok("PUT", `/v1/agents/${agent.id}/files/notes.txt`, "saved\n");
    await page.goto(`/agents/${agent.id}/settings`);
    await page.getByLabel("Instructions").fill("Use tabs.");
    await page.goto(`/agents/${agent.id}/triggers`);
    await page.getByLabel("Message to the agent").fill("Look: {{payload}}");
    await page.goto(`/agents/${agent.id}/files`);
    await page.getByRole("link", { name: "notes.txt", exact: true }).click();
    const editor = page.getByLabel("Content of notes.txt");
    await editor.fill("saved\nand edited\n");
    await page.getByRole("link", { name: "Settings" }).click();
    await eventually(() => page.getByLabel("Instructions").inputValue()).toBe("Use tabs.");
    await page.getByRole("link", { name: "Triggers" }).click();
    await eventually(() => page.getByLabel("Message to the agent").inputValue()).toBe("Look: {{payload}}");
    await page.goto(`/agents/${agent.id}/files`);
    await page.getByRole("link", { name: "notes.txt", exact: true }).click();
    await eventually(() => editor.inputValue()).toBe("saved\nand edited\n");
    await page.getByRole("button", { name: "Reload" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    expect(await editor.inputValue()).toBe("saved\nand edited\n");
    // Saved, but for its answer: a second press is no conflict.
    await page.route("**/files/notes.txt", async (route) => {
      if (route.request().method() !== "PUT") return route.continue();
      await route.fetch();
      return route.abort();
    });
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByRole("alert").getByText("The gateway isn't responding.").waitFor();
    await page.unroute("**/files/notes.txt");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByRole("alert").waitFor({ state: "detached" });
    await eventually(async () => (await client.call("GET", `/v1/agents/${agent.id}/files/notes.txt`)).body).toBe(
      "saved\nand edited\n",
    );
    await page.getByRole("link", { name: "Settings" }).click();
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("Saved. It applies from the next message on.").waitFor();
    expect(await client.ok("GET", `/v1/agents/${agent.id}`)).toMatchObject({ instructions: "Use tabs." });
  });

  test("is there again in the other forms too: a new agent, a trigger, a trigger that is changed, a credential but for its token, the account, names, limits", async () => {
    const { page, client, name } = await meet({ admin: true });
    const agent = await client.createAgent("forms");
    const trigger = { name: "hook", scheme: "token", template: "As it was." };
    await client.ok("POST", `/v1/agents/${agent.id}/triggers`, trigger);
    const openLimits = async () => {
      const row = page.getByRole("row", { name: new RegExp(`^${name}`) });
      await row.locator("summary").click();
      await row.getByRole("button", { name: "Limits…" }).click();
    };
    const press = (button: string) => () => page.getByRole("button", { name: button }).click();
    const triggers = `/agents/${agent.id}/triggers`;
    const files = `/agents/${agent.id}/files`;
    /** Where, in what, what to press first, and whether that is to be pressed again afterwards; what is typed. */
    const forms: [string, string, (() => Promise<unknown>) | null, Record<string, string>, isPressedAgain?: true][] = [
      [
        "/",
        "main form.new-agent",
        () => page.locator("main .new-agent summary").click(),
        { "Name of a new agent": "next", "Repository to clone": "https://git.example.com/a/b" },
      ],
      [triggers, "main section.card form", press("Change the message"), { "Message to the agent": "As it shall be." }],
      [
        triggers,
        "main form.new-trigger >> nth=-1",
        null,
        { "Name of a new trigger": "builds", "How the sender signs": "token" },
      ],
      [files, "main form", press("New folder…"), { "Name of the new folder": "src" }],
      ["/search", "main form", null, { "Words to look for": "heron" }],
      ["/tokens", "main form", null, { "Name of the token": "ci", "Expires after": "86400" }],
      ["/credentials", "main form", null, { Host: "git.example.com", Username: "ada" }],
      ["/account", "main form", null, { "Author name": "Ada L." }],
      ["/users", "main form", null, { "Name of a new user": "grace", "Role of the new user": "admin" }],
      ["/users", "dialog form", openLimits, { "Runs at once": "2" }, true],
    ];
    const form = (within: string) => page.locator(within).first();
    for (const [path, within, open, fields] of forms) {
      await page.goto(path);
      await open?.();
      for (const [label, text] of Object.entries(fields)) {
        const field = form(within).getByLabel(label);
        if (await field.evaluate((element) => element.tagName === "SELECT")) await field.selectOption(text);
        else await field.fill(text);
      }
    }
    await page.goto("/credentials");
    const token = form("main form").getByLabel("Access token");
    await token.fill("tok_12345678");
    expect(await page.evaluate(() => JSON.stringify([sessionStorage, localStorage]))).not.toContain("tok_12345678");
    await page.getByRole("link", { name: "Account" }).click();
    await page.getByRole("link", { name: "Credentials" }).click();
    expect(await token.inputValue()).toBe("tok_12345678");
    await token.fill("");
    for (const [path, within, open, fields, isPressedAgain] of forms) {
      await page.goto(path);
      if (isPressedAgain) await open!();
      for (const [label, text] of Object.entries(fields))
        await eventually(() => form(within).getByLabel(label).inputValue()).toBe(text);
    }
  });

  test("is there again after the session has ended, for its user and for nobody else", async () => {
    const { page, client, name } = await meet();
    const agent = await client.createAgent("interrupted", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}`);
    await page.getByLabel(/^Message to/).fill("echo half a thou");
    await page.getByRole("link", { name: "Credentials" }).click();
    await page.getByLabel("Access token").fill("tok_12345678");
    await page.getByRole("link", { name: "interrupted" }).click();
    const again = async (user: string) => {
      await page.getByRole("link", { name: "Settings" }).click();
      const tokens = page.getByRole("link", { name: "API tokens" });
      await tokens.waitFor();
      await page.context().clearCookies();
      // Any other call of the page may be the one that is refused first, and then the link is gone.
      await tokens.click({ timeout: 2000 }).catch(() => undefined);
      await page.getByText("Your session has ended").waitFor();
      const field = page.getByLabel("Sign in with an API token");
      await field.fill(world.berth.cli("token", user));
      await page.keyboard.press("Enter");
      await field.waitFor({ state: "hidden" });
    };
    await again(name);
    await page.getByRole("link", { name: "interrupted" }).click();
    await eventually(() => page.getByLabel(/^Message to/).inputValue()).toBe("echo half a thou");
    await page.getByRole("link", { name: "Credentials" }).click();
    expect(await page.getByLabel("Access token").inputValue()).toBe("tok_12345678");
    await page.getByRole("link", { name: "interrupted" }).click();
    await again("somebody-else");
    await page.getByRole("link", { name: "Credentials" }).click();
    expect(await page.getByLabel("Access token").inputValue()).toBe("");
    expect(await page.evaluate(() => JSON.stringify(sessionStorage))).not.toContain("half a thou");
  });

  test("is kept beside an upload that ends while something else is in view, and a reload asks first while one goes on", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("uploader", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}`);
    const uploads: (() => Promise<void>)[] = [];
    await page.route("**/files/attachments/**", (route) => void uploads.push(() => route.continue()));
    await page
      .locator(".composer input[type=file]")
      .setInputFiles({ name: "a.txt", mimeType: "text/plain", buffer: Buffer.from("x") });
    await eventually(() => uploads.length).toBe(1);
    await page.getByRole("link", { name: "Settings" }).click();
    await page.getByRole("link", { name: "Conversation" }).click();
    await page.locator(".chips .name").getByText("a.txt").waitFor();
    await page.getByLabel(/^Message to/).fill("echo written meanwhile");
    expect(await asks(page)).toBe(true);
    await uploads[0]!();
    await eventually(() => asks(page)).toBe(false);
    expect(await page.getByLabel(/^Message to/).inputValue()).toBe("echo written meanwhile");
    await page.reload();
    await page.locator(".chips .name").getByText("a.txt").waitFor();
    expect(await page.getByLabel(/^Message to/).inputValue()).toBe("echo written meanwhile");
  });

  test("stays where it is typed while a save is under way, or a reload fails: a file on the version that is saved, with its line breaks, settings, a variable", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("hasty");
    const file = `/v1/agents/${agent.id}/files/notes.txt`;
    await client.ok("PUT", file, "one\r\ntwo\r\n");
    const saving = page.getByRole("button", { name: "Saving…" });
    const typeWhileSaving = async (button: string, field: Locator) => {
      const { promise: typed, resolve: release } = Promise.withResolvers<void>();
      const hold = (route: Route) => typed.then(() => route.continue());
      const calls = new RegExp(`/v1/agents/${agent.id}`);
      await page.route(calls, hold);
      await page.getByRole("button", { name: button, exact: true }).click();
      await saving.waitFor();
      await field.press("End");
      await field.pressSequentially("+");
      release();
      await saving.waitFor({ state: "detached" });
      await page.unroute(calls, hold);
    };
    await page.goto(`/agents/${agent.id}/files`);
    await page.getByRole("link", { name: "notes.txt", exact: true }).click();
    const editor = page.getByLabel("Content of notes.txt");
    await editor.fill("one\ntwo\nthree");
    await typeWhileSaving("Save", editor);
    expect(await editor.inputValue()).toBe("one\ntwo\nthree+");
    expect((await client.call("GET", file)).body).toBe("one\r\ntwo\r\nthree");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await eventually(async () => (await client.call("GET", file)).body).toBe("one\r\ntwo\r\nthree+");
    await saving.waitFor({ state: "detached" });
    await editor.fill("more");
    await page.route(`**${file}`, (route) => route.abort());
    await page.getByRole("button", { name: "Reload" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Reload" }).click();
    await page.getByRole("dialog").getByRole("alert").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    expect(await editor.inputValue()).toBe("more");
    await page.getByRole("link", { name: "Settings" }).click();
    const instructions = page.getByLabel("Instructions");
    await instructions.fill("Use tabs.");
    // Changed elsewhere meanwhile: what nobody touched here is not put back.
    await client.ok("PATCH", `/v1/agents/${agent.id}`, { permissions: "ask" });
    await page.reload();
    expect(await page.getByLabel("Permissions").inputValue()).toBe("ask");
    await typeWhileSaving("Save", instructions);
    expect(await instructions.inputValue()).toBe("Use tabs.+");
    const stored = { instructions: "Use tabs.", permissions: "ask" };
    expect(await client.ok("GET", `/v1/agents/${agent.id}`)).toMatchObject(stored);
    await page.getByRole("button", { name: "Add a variable" }).click();
    await page.getByLabel("Name of variable 1").fill("TOKEN");
    const value = page.getByLabel("Value of TOKEN", { exact: true });
    await value.fill("s3cret");
    await typeWhileSaving("Save the variables", value);
    expect(await value.inputValue()).toBe("s3cret+");
  });

  test("and whose save goes on while its editor is left is what was saved, when the file is opened again", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("leaver");
    const file = `/v1/agents/${agent.id}/files/notes.txt`;
    await client.ok("PUT", file, "before\n");
    await page.goto(`/agents/${agent.id}/files`);
    const open = () => page.getByRole("link", { name: "notes.txt", exact: true }).click();
    await open();
    const editor = page.getByLabel("Content of notes.txt");
    await editor.fill("after\n");
    const { promise: isLetGo, resolve: letGo } = Promise.withResolvers<void>();
    await page.route(`**${file}`, (route) =>
      route.request().method() === "PUT" ? isLetGo.then(() => route.continue()) : route.continue(),
    );
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByRole("button", { name: "Saving…" }).waitFor();
    await page.getByRole("link", { name: "Settings" }).click();
    await page.getByRole("link", { name: "Files" }).click();
    await open();
    // What is read before the save is the version before.
    await editor.or(page.locator(".editor").getByText("Loading…")).waitFor();
    await page.evaluate(() => fetch("/readyz").then(() => {}));
    letGo();
    await eventually(() => page.evaluate(() => JSON.stringify(sessionStorage))).not.toContain("berth.edit");
    await eventually(() => editor.inputValue()).toBe("after\n");
    await editor.fill("after that\n");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await eventually(async () => (await client.call("GET", file)).body).toBe("after that\n");
  });

  test("is asked about before a reload where it is more than the browser keeps", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("long");
    await page.goto(`/agents/${agent.id}`);
    await page.evaluate(() => sessionStorage.setItem("filler", "x".repeat(5_200_000)));
    const field = page.getByLabel(/^Message to/);
    await field.fill("y".repeat(60_000));
    expect(await asks(page)).toBe(true);
    await page.getByRole("link", { name: "Settings" }).click();
    await page.getByRole("link", { name: "Conversation" }).click();
    expect((await field.inputValue()).length).toBe(60_000);
    await field.fill("");
    expect(await asks(page)).toBe(false);
  });
});

describe("a trigger", () => {
  test("executes nothing of its sender's by itself, and its address and secret are copied one at a time", async () => {
    const { page, client } = await meet({ permissions: ["clipboard-read", "clipboard-write"] });
    const agent = await client.createAgent("hooked", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}/triggers`);
    await page.getByLabel("Name of a new trigger").fill("builds");
    await page.getByLabel("How the sender signs").selectOption("token");
    await page.getByRole("button", { name: "Create the trigger" }).click();
    const secret = (await page.locator(".shown-once pre").textContent()) ?? "";
    const address = (await page.locator(".secret .address code").textContent()) ?? "";
    for (const [button, text] of [
      [page.locator(".shown-once button"), secret],
      [page.locator(".secret .address button"), address],
    ] as const) {
      await button.click();
      await eventually(() => page.evaluate(() => navigator.clipboard.readText())).toBe(text);
      expect(text).toMatch(/^\S+$/);
    }
    const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
    const body = JSON.stringify({ title: "x; echo INJECTED" });
    await fetch(world.berth.url + new URL(address).pathname, { method: "POST", headers, body });
    await page.getByRole("link", { name: "Conversation" }).click();
    await eventually(() => page.locator(".output").allTextContents()).toEqual([body]);
    const made = { name: "script", scheme: "token", template: "echo {{payload.title}}" };
    expect(await client.ok("POST", `/v1/agents/${agent.id}/triggers`, made)).toMatchObject({ executesPayload: true });
    // Nor by a change of its message, unless that is said.
    await page.getByRole("link", { name: "Triggers" }).click();
    const card = page.getByRole("region", { name: "Trigger builds" });
    await card.getByRole("button", { name: "Change the message" }).click();
    await card.getByLabel("Message to the agent").fill("echo {{payload.title}}");
    await card.getByRole("button", { name: "Save" }).click();
    await card.getByRole("alert").getByText("a script with the sender's words in it").waitFor();
    const templates = async () =>
      (await client.ok<{ items: { name: string; template: string }[] }>("GET", `/v1/agents/${agent.id}/triggers`)).items
        .filter(({ name }) => name === "builds")
        .map(({ template }) => template);
    expect(await templates()).toEqual(['cat "$BERTH_PAYLOAD_FILE"']);
    await card.getByLabel("Run what the sender writes").check();
    await card.getByRole("button", { name: "Save" }).click();
    await card.getByText("What its sender writes runs as part of this script.").waitFor();
    expect(await templates()).toEqual(["echo {{payload.title}}"]);
  });
});
