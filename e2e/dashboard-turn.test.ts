/** A turn that people talk to, in the page: words into it, what waits, what it asks. */
import { randomBytes } from "node:crypto";
import { afterAll, describe, expect, test } from "vitest";
import { findBarriers } from "./browser/browser.ts";
import { eventually, lastEnd, send, serveDashboard } from "./browser/dashboard.ts";
import { engine, userIdOf } from "./harness/harness.ts";
import { type ModelCall, type ModelEndpoint, type Scripted, startModel } from "./harness/model-endpoint.ts";

const scripts = new Map<string, (call: ModelCall) => Scripted | null>();
let model: ModelEndpoint;
const { world, meet } = serveDashboard(async () => {
  model = await startModel((call) => [...scripts].find(([name]) => call.told.includes(name))?.[1](call) ?? null);
  return { BERTH_MODEL_URL: model.url, ANTHROPIC_API_KEY: "sk-upstream" };
});
afterAll(() => model?.close());

/** Does this first, whoever asks, and then says "All done.". */
function once(name: string, toolName: string, input: object): void {
  let isFirst = true;
  scripts.set(name, ({ stream }) => {
    if (!stream || !isFirst) return { blocks: [{ type: "text", text: "All done." }] };
    isFirst = false;
    return { blocks: [{ type: "tool_use", id: `toolu_${randomBytes(8).toString("hex")}`, name: toolName, input }] };
  });
}
const phone = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };
const untilGo = { command: "until [ -e go ]; do timeout 0.1 tail -f /dev/null; done", description: "Wait" };

describe("while an agent works", () => {
  test("a word goes into the turn, another message waits and is reworded and dropped, and the button says which", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("steered");
    once("Build the ark.", "Bash", untilGo);
    await page.goto(`/agents/${agent.id}`);
    await send(page, "Build the ark.");
    await page.locator(".tool").waitFor();
    await page.getByRole("button", { name: "Send now" }).waitFor();
    await send(page, "Paint it blue.");
    await page.getByLabel(/^Message to/).fill("And then test it.");
    await page.getByRole("button", { name: "Queue" }).click();
    const waits = page.locator(".run").last();
    await waits.getByText("It starts when its agent is done").waitFor();
    await waits.getByRole("button", { name: "Edit", exact: true }).click();
    await waits.getByLabel("Queued message").fill("And then test it twice.");
    await waits.getByRole("button", { name: "Save" }).click();
    await waits.getByText("And then test it twice.").waitFor();
    await page.getByLabel(/^Message to/).fill("Never mind.");
    await page.keyboard.press("Alt+Enter");
    await page.getByText("Never mind.").waitFor();
    await page.locator(".run").last().getByRole("button", { name: "Stop" }).click();
    await lastEnd(page).getByText("Stopped", { exact: true }).waitFor();
    await client.ok("PUT", `/v1/agents/${agent.id}/files/go`, "");
    await eventually(() => page.locator(".run").first().locator(".said").allTextContents()).toEqual(["Paint it blue."]);
    expect(await page.locator(".unread").count()).toBe(0);
    await eventually(() => page.locator(".run .end").getByText("Finished").count()).toBe(2);
    expect(model.calls.some(({ told }) => told.includes("Paint it blue."))).toBe(true);
    expect(model.calls.some(({ told }) => told.includes("And then test it twice."))).toBe(true);
  });

  test("what waits is as it was changed last, whatever was asked before that answers", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("reworded", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}`);
    await send(page, "until [ -e go ]; do timeout 0.1 tail -f /dev/null; done");
    await page.locator(".end.going").waitFor();
    await send(page, "echo as it was");
    const waits = page.locator(".run").last();
    await waits.getByText("echo as it was").waitFor();
    const { promise: isLetGo, resolve: letGo } = Promise.withResolvers<void>();
    const { promise: isAnswered, resolve: note } = Promise.withResolvers<void>();
    await page.route("**/v1/runs?status=pending&*", async (route) => {
      const response = await route.fetch();
      note();
      await isLetGo;
      await route.fulfill({ response });
    });
    await isAnswered;
    await waits.getByRole("button", { name: "Edit", exact: true }).click();
    await waits.getByLabel("Queued message").fill("echo as it is");
    await waits.getByRole("button", { name: "Save" }).click();
    await waits.getByText("echo as it is").waitFor();
    const answer = page.waitForResponse((one) => one.url().includes("status=pending"));
    letGo();
    await (await answer).finished();
    await page.evaluate(() => fetch("/healthz").then(() => new Promise(requestAnimationFrame)));
    expect(await waits.getByText("echo as it is").count()).toBe(1);
    await client.ok("PUT", `/v1/agents/${agent.id}/files/go`, "");
    await waits.locator(".output").getByText("as it is").waitFor();
  });

  test("what is too long for a word waits, and a change of it that comes too late is there to be sent", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("lengthy");
    once("Await the post.", "Bash", untilGo);
    await page.goto(`/agents/${agent.id}`);
    await send(page, "Await the post.");
    await page.locator(".tool").waitFor();
    await page.getByRole("button", { name: "Send now" }).waitFor();
    await page.getByLabel(/^Message to/).fill("é".repeat(32_769));
    await page.getByRole("button", { name: "Send now" }).waitFor({ state: "hidden" });
    await page.getByLabel(/^Message to/).press("Enter");
    const waits = page.locator(".run").last();
    await waits.getByText("It starts when its agent is done").waitFor();
    await waits.getByRole("button", { name: "Edit", exact: true }).click();
    await waits.getByLabel("Queued message").fill("Read the post twice.");
    await client.ok("PUT", `/v1/agents/${agent.id}/files/go`, "");
    await lastEnd(page).getByText("Finished").waitFor();
    await page.reload();
    await waits.getByText("before this change was saved").waitFor();
    await waits.locator(".unread").getByRole("button", { name: "Edit and send again" }).click();
    expect(await page.getByLabel(/^Message to/).inputValue()).toBe("Read the post twice.");
    expect(await waits.locator(".unread").count()).toBe(0);
  });

  test("its head has model, permissions, what its context holds, a summary and a new conversation", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("headed");
    once("Chart the bay.", "Bash", untilGo);
    await page.goto(`/agents/${agent.id}`);
    await send(page, "Chart the bay.");
    await page.locator(".tool").waitFor();
    const menu = page.locator(".conversation-menu");
    await menu.locator("summary").click();
    await menu.getByText("System tools").waitFor();
    expect(await menu.getByRole("meter").getAttribute("aria-valuetext")).toMatch(/^[\d,]+ of [\d,]+ tokens$/);
    expect(await menu.getByRole("button", { name: "Start a new conversation" }).isDisabled()).toBe(true);
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await findBarriers(page)).toEqual([]);
    }
    await client.ok("PUT", `/v1/agents/${agent.id}/files/go`, "");
    await lastEnd(page).getByText("Finished").waitFor();
    await menu.getByLabel("Permissions").selectOption("ask");
    const stored = () => client.ok<{ permissions: string }>("GET", `/v1/agents/${agent.id}`);
    await eventually(async () => (await stored()).permissions).toBe("ask");
    await menu.getByRole("button", { name: "Compact" }).click();
    await page.locator(".run .prompt").getByText("/compact", { exact: true }).waitFor();
    await lastEnd(page).getByText("Finished").waitFor();
    await menu.getByRole("button", { name: "Start a new conversation" }).click();
    const [answer] = await Promise.all([
      page.waitForResponse(/\/reset$/),
      page.getByRole("dialog").getByRole("button", { name: "Start over" }).click(),
    ]);
    expect(answer.status()).toBe(200);
    // What it asked with keeps the focus until it is gone.
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    await menu.locator("summary").focus();
    await page.locator(".scroller").focus();
    await eventually(() => menu.evaluate((element) => (element as HTMLDetailsElement).open)).toBe(false);
  });

  test("Escape stops the turn, and the conversation goes on", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("stopped");
    once("Await the tide.", "Bash", untilGo);
    await page.goto(`/agents/${agent.id}`);
    await send(page, "Await the tide.");
    await page.locator(".tool").waitFor();
    await page.getByRole("button", { name: "Send now" }).waitFor();
    // The focus is nowhere, as after an answer.
    await page.evaluate(() => (document.activeElement as HTMLElement).blur());
    await page.keyboard.press("Escape");
    await lastEnd(page).getByText("Stopped", { exact: true }).waitFor();
    await send(page, "Go on.");
    await lastEnd(page).getByText("Finished").waitFor();
  });

  test("Escape twice ends the run, and what it started", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("ended");
    once("Await the ebb.", "Bash", untilGo);
    const asked: string[] = [];
    page.on("request", (request) => void asked.push(new URL(request.url()).pathname.replace(/run_\w+/, "ID")));
    await page.goto(`/agents/${agent.id}`);
    await send(page, "Await the ebb.");
    await page.locator(".tool").waitFor();
    await page.getByRole("button", { name: "Send now" }).waitFor();
    // Wherever in the conversation the focus is.
    await page.locator(".scroller").press("Escape");
    await page.keyboard.press("Escape");
    await lastEnd(page).getByText("Stopped", { exact: true }).waitFor();
    expect(asked).toEqual(expect.arrayContaining(["/v1/runs/ID/interrupt", "/v1/runs/ID/cancel"]));
  });

  test("a word that its turn ended without is told so, and written again", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("unheard");
    once("Await the calm.", "Bash", untilGo);
    await page.goto(`/agents/${agent.id}`);
    await send(page, "Await the calm.");
    await page.locator(".tool").waitFor();
    await page.getByRole("button", { name: "Send now" }).waitFor();
    await send(page, "Steer north.");
    const unread = page.locator(".unread");
    await unread.getByText("It will read this at its next step.").waitFor();
    await page.reload();
    await unread.getByText("Steer north.").waitFor();
    const { items } = await client.ok<{ items: { id: string }[] }>("GET", "/v1/runs");
    await client.ok("POST", `/v1/runs/${items[0]!.id}/cancel`);
    await unread.getByText("It ended before reading this.").waitFor();
    await unread.getByRole("button", { name: "Edit and send again" }).click();
    expect(await page.getByLabel(/^Message to/).inputValue()).toBe("Steer north.");
    expect(await unread.count()).toBe(0);
  });

  test("on a phone it is talked to, has a message wait, and is stopped, all by touch and on the screen", async () => {
    const { page, client } = await meet(phone);
    const agent = await client.createAgent("pocket");
    once("Await the flood.", "Bash", untilGo);
    await page.goto(`/agents/${agent.id}`);
    const [field, button] = [page.getByLabel(/^Message to/), (name: string) => page.getByRole("button", { name })];
    await field.fill("Await the flood.");
    await button("Send").tap();
    await page.locator(".tool").waitFor();
    await field.fill("Paint it blue.");
    await button("Send now").tap();
    await eventually(() => field.inputValue()).toBe("");
    await field.fill("And then rest.");
    await button("Queue").tap();
    const waits = page.locator(".run").last();
    await waits.getByText("It starts when its agent is done").waitFor();
    await waits.getByRole("button", { name: "Stop" }).tap();
    await waits.getByText("Stopped", { exact: true }).waitFor();
    await page.locator(".conversation-menu summary").tap();
    await page.locator(".conversation-menu").getByText("System tools").waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBe(0);
    expect(await findBarriers(page)).toEqual([]);
    await page.locator(".conversation-menu summary").tap();
    await page.locator(".composer").getByRole("button", { name: "Stop" }).tap();
    const ended = page.locator(".run").first().locator(".end:not(.going)");
    await ended.getByText("Stopped", { exact: true }).waitFor();
    const { items } = await client.ok<{ items: { id: string; prompt: string }[] }>("GET", "/v1/runs");
    const { lines } = await client.finish(items.find(({ prompt }) => prompt === "Await the flood.")!.id);
    // By the CLI itself.
    expect(lines.some((line) => line.includes('"terminal_reason":"aborted_tools"'))).toBe(true);
  });
});

describe("what an agent asks", () => {
  test("shows as a card, in the title and the sidebar, and is answered on either of two devices", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("asking", { permissions: "ask" });
    const file_path = `/workspace/agent-${agent.id}/greet.txt`;
    once("Write the log.", "Write", { file_path, content: "hello\n" });
    await page.goto(`/agents/${agent.id}`);
    const other = await page.context().newPage();
    await other.goto(`/agents/${agent.id}`);
    await send(page, "Write the log.");
    const card = page.getByRole("region", { name: "Allow this?" });
    await eventually(() => card.locator(".diff .added").allTextContents()).toEqual(["+hello"]);
    expect(await page.title()).toBe("(waiting for you) asking · Berth");
    expect(await page.locator("link[rel=icon]").getAttribute("href")).toBe("/favicon-asks.svg");
    await page.locator("nav.agents li").getByText("Waiting for you").waitFor();
    // Told aloud too, also while another message waits.
    await page.getByLabel(/^Message to/).fill("Then rest.");
    await page.keyboard.press("Alt+Enter");
    await page.locator(".run .prompt").getByText("Then rest.").waitFor();
    expect(await page.locator(".conversation > [role=status]").textContent()).toMatch(/^Waiting for you/);
    await other.getByRole("region", { name: "Allow this?" }).getByRole("button", { name: "Allow" }).click();
    await lastEnd(page).getByText("Finished").waitFor();
    expect(await card.count()).toBe(0);
    expect((await client.call("GET", `/v1/agents/${agent.id}/files/greet.txt`)).body).toBe("hello\n");
  });

  test("is a question with choices, or words of one's own", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("questions");
    const options = [
      { label: "red", description: "like a rose" },
      { label: "blue", description: "like the sea" },
    ];
    const questions = [{ question: "Which colour?", header: "Colour", multiSelect: false, options }];
    once("Paint the hull.", "AskUserQuestion", { questions });
    await page.goto(`/agents/${agent.id}`);
    await send(page, "Paint the hull.");
    const card = page.getByRole("region", { name: "It has a question" });
    await card.getByLabel("blue").check();
    await card.getByRole("button", { name: "Answer", exact: true }).click();
    await lastEnd(page).getByText("Finished").waitFor();
    expect(model.calls.at(-1)!.told).toContain('\\"Which colour?\\"=\\"blue\\"');
  });
});

test("is a plan, which is refused with a reason, and done, on a phone too", async () => {
  const { page, client } = await meet(phone);
  const agent = await client.createAgent("planning", { permissions: "plan" });
  let calls = 0;
  scripts.set("Plan the trip.", ({ stream }) => {
    if (!stream || ++calls > 2) return { blocks: [{ type: "text", text: "All done." }] };
    const plan = calls === 1 ? "# By land" : "# By sea";
    const id = `toolu_${randomBytes(8).toString("hex")}`;
    return { blocks: [{ type: "tool_use", id, name: "ExitPlanMode", input: { plan } }] };
  });
  await page.goto(`/agents/${agent.id}`);
  await page.getByLabel(/^Message to/).fill("Plan the trip.");
  await page.getByRole("button", { name: "Send" }).tap();
  const card = page.getByRole("region", { name: "Its plan" });
  await card.getByRole("heading", { name: "By land" }).waitFor();
  await card.getByLabel(/^Why not/).fill("Rather by sea.");
  await card.getByRole("button", { name: "Keep planning" }).tap();
  await card.getByRole("heading", { name: "By sea" }).waitFor();
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBe(0);
  await card.getByRole("button", { name: "Go ahead" }).tap();
  await lastEnd(page).getByText("Finished").waitFor();
  expect(model.calls.some(({ told }) => told.includes("Rather by sea."))).toBe(true);
});

const dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4AWNoaGgAAAMEAYFZUG5DAAAAAElFTkSuQmCC";

test("what an agent reads shows: a picture as one, a file with the numbers of its lines", async () => {
  const { page, client } = await meet();
  const agent = await client.createAgent("reader");
  const place = `/workspace/agent-${agent.id}`;
  await client.ok("PUT", `/v1/agents/${agent.id}/files/dot.png`, Buffer.from(dot, "base64"));
  await client.ok("PUT", `/v1/agents/${agent.id}/files/list.ts`, "const one = 1;\nconst two = 2;\n");
  let isFirst = true;
  scripts.set("Read both.", ({ stream }) => {
    if (!stream || !isFirst) return { blocks: [{ type: "text", text: "All done." }] };
    isFirst = false;
    const read = (name: string) => ({ name: "Read", input: { file_path: `${place}/${name}` } });
    const id = () => `toolu_${randomBytes(8).toString("hex")}`;
    return { blocks: ["dot.png", "list.ts"].map((name) => ({ type: "tool_use", id: id(), ...read(name) })) };
  });
  await page.goto(`/agents/${agent.id}`);
  await send(page, "Read both.");
  await lastEnd(page).getByText("Finished").waitFor();
  const picture = page.getByRole("img", { name: "Image from a tool" });
  await eventually(() => picture.evaluate((image) => (image as HTMLImageElement).naturalWidth)).toBe(1);
  await page.locator(".tool").nth(1).locator("summary").click();
  const [numbers, code] = [page.locator(".numbered pre").first(), page.locator(".numbered pre").last()];
  expect(await numbers.textContent()).toMatch(/^1\n2/);
  expect(await code.textContent()).toContain("const one = 1;\nconst two = 2;");
  expect(await findBarriers(page)).toEqual([]);
});

describe("attachments", () => {
  test.for([
    ["a desk", {}],
    ["a phone", phone],
  ] as const)(
    "come by button, paste and drop on %s, survive failure and reload, and go with the message",
    async ([where, options]) => {
      const { page, client } = await meet(options);
      const agent = await client.createAgent("attached");
      const prompt = `Look at it on ${where}.`;
      scripts.set(prompt, () => ({ blocks: [{ type: "text", text: "Seen." }] }));
      await page.goto(`/agents/${agent.id}`);
      const field = page.getByLabel(/^Message to/);
      const chips = page.locator(".composer .chips li .name");
      let isCut = true;
      await page.route("**/files/attachments/**", (route) => (isCut ? route.abort() : route.continue()));
      const file = { name: "dot.png", mimeType: "image/png", buffer: Buffer.from(dot, "base64") };
      await page.locator(".composer input[type=file]").setInputFiles(file);
      await page.locator(".composer .chips [role=alert]").waitFor();
      await field.fill(prompt);
      const submit = page.locator(".composer button[type=submit]");
      expect(await submit.isDisabled()).toBe(true);
      isCut = false;
      await page.getByRole("button", { name: "Try again" }).click();
      await eventually(() => submit.isDisabled()).toBe(false);
      for (const [type, name] of [
        ["paste", "pasted.txt"],
        ["drop", "dropped.txt"],
        ["drop", "gone.txt"],
      ] as const)
        await field.evaluate(
          (element, [kind, called]) => {
            const data = new DataTransfer();
            data.items.add(new File(["words"], called));
            const bubbles = { bubbles: true, cancelable: true };
            const event =
              kind === "paste"
                ? new ClipboardEvent(kind, { ...bubbles, clipboardData: data })
                : new DragEvent(kind, { ...bubbles, dataTransfer: data });
            element.dispatchEvent(event);
          },
          [type, name] as const,
        );
      await eventually(() => chips.allTextContents()).toEqual(["dot.png", "pasted.txt", "dropped.txt", "gone.txt"]);
      await eventually(() => submit.isDisabled()).toBe(false);
      await page.getByRole("button", { name: "Remove gone.txt" }).click();
      await page.reload();
      await eventually(() => chips.allTextContents()).toEqual(["dot.png", "pasted.txt", "dropped.txt"]);
      expect(await field.inputValue()).toBe(prompt);
      await submit.click();
      await lastEnd(page).getByText("Finished").waitFor();
      expect(await chips.count()).toBe(0);
      const links = page.locator(".run .prompt .chips a");
      expect(await links.allTextContents()).toEqual(["dot.png", "pasted.txt", "dropped.txt"]);
      const { told } = model.calls.find((call) => call.stream && call.told.includes(prompt))!;
      expect(told).toContain(dot);
      expect(told).toMatch(/attachments\/[\da-f]{8}\/pasted\.txt\\n/);
      expect((await client.call("GET", (await links.nth(1).getAttribute("href"))!)).body).toBe("words");
    },
  );
});

test("a turn that goes on after its container was lost is one conversation with a scar, and marks what is done again", async () => {
  const { page, client } = await meet();
  const agent = await client.createAgent("unkillable", { onInterruption: "continue" });
  let calls = 0;
  scripts.set("Cross the sea.", ({ stream }) => {
    if (!stream || ++calls > 2) return { blocks: [{ type: "text", text: "Ashore." }] };
    return {
      blocks: [{ type: "tool_use", id: `toolu_${randomBytes(8).toString("hex")}`, name: "Bash", input: untilGo }],
    };
  });
  await page.goto(`/agents/${agent.id}`);
  await send(page, "Cross the sea.");
  await page.locator(".tool").waitFor();
  await page.getByRole("button", { name: "Send now" }).waitFor();
  const user = await userIdOf(client);
  const [container] = (await world.berth.containers()).filter(({ Labels }) => Labels["berth.user"] === user);
  await engine.getContainer(container!.Id).remove({ force: true });
  const runs = page.locator(".run");
  await runs.nth(1).locator(".tool-again").waitFor();
  await client.ok("PUT", `/v1/agents/${agent.id}/files/go`, "");
  await lastEnd(page).getByText("Finished").waitFor();
  await eventually(async () => ({
    cutOff: await runs.first().locator(".end").getByText("Cut off").count(),
    again: await runs.locator(".tool-again").count(),
    scars: await page.locator(".scar").count(),
    prompts: await page.locator(".run .prompt").allTextContents(),
  })).toEqual({ cutOff: 1, again: 1, scars: 1, prompts: [expect.stringContaining("Cross the sea.")] });
});
