/** What a person typed, pressed and chose is kept, done once, and asked about where it ends work. */
import { describe, expect, test } from "vitest";
import { linkOf } from "./browser/browser.ts";
import { eventually, lastEnd, send, serveDashboard } from "./browser/dashboard.ts";
import type { Run } from "@berth/shared/resources";

const { world, meet, stranger } = serveDashboard();

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
    await page.getByRole("alert").getByText("Perhaps not sent.").waitFor();
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
    const asks = () => page.evaluate(() => !dispatchEvent(new Event("beforeunload", { cancelable: true })));
    expect(await asks()).toBe(false);
    await page.getByRole("button", { name: "Add a variable" }).click();
    await page.getByLabel("Name of variable 1").fill("TOKEN");
    await page.getByLabel("Value of TOKEN").fill("s3cret");
    await page.getByRole("link", { name: "Triggers" }).click();
    await page.getByRole("link", { name: "Settings" }).click();
    expect(await page.getByLabel("Value of TOKEN").inputValue()).toBe("s3cret");
    expect(await asks()).toBe(true);
    expect(await page.evaluate(() => JSON.stringify([sessionStorage, localStorage]))).not.toContain("s3cret");
    await page.getByRole("button", { name: "Save the variables" }).click();
    await page.getByText("set, hidden").waitFor();
    expect(await asks()).toBe(false);
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
    await page.getByRole("alert").getByText("The gateway does not answer.").waitFor();
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

  test("is there again in the other forms too: a new agent, a trigger that is changed, a credential but for its token, the account", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("forms");
    const trigger = { name: "hook", scheme: "token", template: "As it was." };
    await client.ok("POST", `/v1/agents/${agent.id}/triggers`, trigger);
    const forms: [path: string, open: string | null, fields: Record<string, string>][] = [
      ["/", null, { "Name of a new agent": "next", "Repository to clone": "https://git.example.com/a/b" }],
      [`/agents/${agent.id}/triggers`, "Change the message", { "Message to the agent": "As it shall be." }],
      ["/credentials", null, { Host: "git.example.com", Username: "ada" }],
      ["/account", null, { "Author name": "Ada L." }],
    ];
    const form = (path: string) =>
      page
        .locator(
          path.endsWith("/triggers") ? "main section.card form" : path === "/" ? "main form.new-agent" : "main form",
        )
        .first();
    for (const [path, open, fields] of forms) {
      await page.goto(path);
      if (path === "/") await form(path).getByText("More options").click();
      if (open) await page.getByRole("button", { name: open }).click();
      for (const [label, text] of Object.entries(fields)) await form(path).getByLabel(label).fill(text);
    }
    await page.goto("/credentials");
    await form("/credentials").getByLabel("Access token").fill("tok_12345678");
    expect(await page.evaluate(() => JSON.stringify([sessionStorage, localStorage]))).not.toContain("tok_12345678");
    await page.getByRole("link", { name: "Account" }).click();
    await page.getByRole("link", { name: "Credentials" }).click();
    expect(await form("/credentials").getByLabel("Access token").inputValue()).toBe("tok_12345678");
    await form("/credentials").getByLabel("Access token").fill("");
    for (const [path, , fields] of forms) {
      await page.goto(path);
      for (const [label, text] of Object.entries(fields))
        await eventually(() => form(path).getByLabel(label).inputValue()).toBe(text);
    }
  });

  test("places and filters are in the address", async () => {
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
});

describe("what could not be loaded", () => {
  test("comes by itself once it can be: a list, and a page whose script an upgrade has replaced", async () => {
    const { page } = await meet();
    await page.route("**/v1/tokens?*", (route) => route.abort());
    await page.goto("/tokens");
    await page.getByRole("alert").getByText("The gateway does not answer.").waitFor();
    await page.unroute("**/v1/tokens?*");
    await page.locator("table.list tbody tr").first().waitFor();
    await page.getByRole("alert").waitFor({ state: "detached" });
    let refused = 0;
    await page.route("**/assets/use*.js", (route) =>
      refused++ === 0 ? route.fulfill({ status: 404 }) : route.continue(),
    );
    await page.getByRole("link", { name: "Usage" }).click();
    await page.getByRole("heading", { name: "Usage" }).waitFor();
    expect(refused).toBeGreaterThan(1);
  });
});

describe("what ends work", () => {
  test("asks first: the workspace's stop while a run goes on", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("working", { runtime: "shell" });
    const run = await client.send(agent.id, "echo up; exec sleep 600");
    await client.firstLine(run.id);
    await page.goto("/");
    await page.getByRole("button", { name: "Stop the workspace" }).click();
    await page.getByRole("dialog").getByText("1 run in progress will be stopped").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    expect((await client.run(run.id)).status).toBe("running");
    await page.getByRole("button", { name: "Stop the workspace" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Stop it" }).click();
    await eventually(async () => (await client.run(run.id)).reason).toBe("cancelled");
  });
});

describe("a page without its gateway or its user", () => {
  test("takes a sign-in link that is opened in it, and comes back by itself", async () => {
    const { name } = await meet();
    const page = await stranger();
    await page.route("**/session", (route) => route.abort());
    await page.goto("/");
    await page.getByText("The gateway does not answer").waitFor();
    await page.unroute("**/session");
    await page.getByLabel("Sign in with an API token").waitFor();
    await page.goto(linkOf(world.berth, name));
    await page.getByRole("region", { name: "Workspace" }).waitFor();
    expect(page.url()).not.toContain("code=");
  });
});

describe("a trigger", () => {
  test("executes nothing of its sender's by itself, and its address and secret are copied one at a time", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("hooked", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}/triggers`);
    await page.getByLabel("Name of a new trigger").fill("builds");
    await page.getByLabel("How the sender signs").selectOption("token");
    await page.getByRole("button", { name: "Create the trigger" }).click();
    const secret = (await page.locator(".shown-once pre").textContent()) ?? "";
    const address = (await page.locator(".secret .address code").textContent()) ?? "";
    expect(secret).toMatch(/^\S+$/);
    const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
    const body = JSON.stringify({ title: "x; echo INJECTED" });
    await fetch(world.berth.url + new URL(address).pathname, { method: "POST", headers, body });
    await page.getByRole("link", { name: "Conversation" }).click();
    await eventually(() => page.locator(".output").allTextContents()).toEqual([body]);
    const made = { name: "script", scheme: "token", template: "echo {{payload.title}}" };
    expect(await client.ok("POST", `/v1/agents/${agent.id}/triggers`, made)).toMatchObject({ executesPayload: true });
  });
});
