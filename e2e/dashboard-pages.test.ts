/** The dashboard's pages beside the conversation, at every width, and who may see which. */
import Database from "better-sqlite3";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import type { Host } from "@berth/shared/hosts";
import type { Me } from "@berth/shared/users";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { startProvider } from "../gateway/test/provider/provider.ts";
import { findBarriers, openWindow } from "./browser/browser.ts";
import { eventually, lastEnd, serveDashboard } from "./browser/dashboard.ts";
import { fillConversation } from "./browser/many-messages.ts";
import type { Berth } from "./harness/harness.ts";

const { world, meet, stranger } = serveDashboard();
let berth: Berth;
beforeAll(() => {
  ({ berth } = world);
});

describe("the workspace bar", () => {
  test("shows every fact at every width, and moves", async () => {
    const { page, client } = await meet({ admin: true });
    const agent = await client.createAgent("busy", { runtime: "shell" });
    await client.runToEnd(agent.id, "head -c 20000000 /dev/zero >file");
    const bar = page.getByRole("region", { name: "Workspace" });
    await bar.getByText("Running").waitFor();
    const facts = [
      bar.getByText("Running"),
      bar.locator(".host"),
      bar.getByRole("meter", { name: "Memory" }),
      bar.locator(".cpu .value"),
      bar.locator(".disk .value"),
      bar.getByText("0 of 3"),
      bar.locator(".connections"),
    ];
    for (const width of [380, 768, 1024, 1440, 2560]) {
      await page.setViewportSize({ width, height: 800 });
      for (const fact of facts) {
        const box = await fact.boundingBox();
        expect({
          width,
          fact: await fact.textContent(),
          isIn: box && box.width > 20 && box.x + box.width <= width,
        }).toMatchObject({ isIn: true });
      }
    }
    const memory = async () => Number(await bar.getByRole("meter", { name: "Memory" }).getAttribute("aria-valuenow"));
    await eventually(memory).toBeLessThan(300e6);
    await client.send(
      agent.id,
      "(head -c 300000000 /dev/zero; until [ -e seen ]; do sleep 0.2; done) | tail -c 300000000 >/dev/null",
    );
    await eventually(memory).toBeGreaterThan(300e6);
    await client.ok("PUT", `/v1/agents/${agent.id}/files/seen`, "");
    expect(await bar.getByRole("meter", { name: "Memory" }).getAttribute("aria-valuemax")).toBe(String(2 ** 30));
    expect(await bar.locator(".memory").getAttribute("title")).toContain("Warns at 800 MB.");
    await eventually(() => bar.locator(".disk .value").textContent()).toMatch(/2\d MB/);
    await page
      .context()
      .newPage()
      .then((other) => other.goto("/"));
    await eventually(() => bar.locator(".connections").textContent()).toContain("2");
    // Asleep it has no memory, and keeps its disk; neither is told as none before it was looked at anew.
    await eventually(() => bar.getByText("0 of 3").count()).toBe(1);
    await client.ok("POST", "/v1/workspace/stop");
    await bar.getByText("Asleep").waitFor();
    const told = await page.evaluateHandle(() => {
      const values = () =>
        [".memory .value", ".disk .value"].map((value) => document.querySelector(`.bar ${value}`)!.textContent);
      const all = values();
      new MutationObserver(() => all.push(...values())).observe(document.querySelector(".bar")!, {
        characterData: true,
        childList: true,
        subtree: true,
      });
      return all;
    });
    expect(await told.jsonValue()).toEqual(["–", expect.stringMatching(/2\d MB/)]);
    await client.ok("POST", "/v1/workspace/start");
    await bar.getByText("Running").waitFor();
    await eventually(() => bar.locator(".memory .value").textContent()).not.toBe("–");
    expect((await told.jsonValue()).filter((value) => value.startsWith("0"))).toEqual([]);
  });
});

/** What lies beyond the window's right edge, or is cut off. */
const outOfView = async (page: Page) => ({
  outside: await page.evaluate(() =>
    [...document.querySelectorAll("main :is(button, a, input, select, td, h1, h2, p)")]
      .filter((element) => !element.closest(".diff, .xterm, .sr-only, pre"))
      .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
      .map((element) => element.outerHTML.slice(0, 120)),
  ),
  heads: await page
    .locator(".page-head")
    .evaluateAll((all) =>
      all.filter((head) => head.scrollHeight > head.clientHeight + 1).map((head) => head.textContent),
    ),
  isWide: await page.evaluate(() => document.documentElement.scrollWidth > innerWidth),
});

/** Each language in each theme, once narrow and once wide. */
const looks = [
  { language: "en", width: 380, look: "dark" },
  { language: "en", width: 768, look: null },
  { language: "en", width: 1280, look: "light" },
  { language: "en", width: 2560, look: null },
  { language: "ko", width: 380, look: "light" },
  { language: "ko", width: 768, look: null },
  { language: "ko", width: 1280, look: "dark" },
] as const;

/** Has the page speak the language, as the switch of another tab does. */
async function speak(page: Page, language: "en" | "ko"): Promise<void> {
  await page.evaluate((chosen) => {
    localStorage.setItem("berth.language", chosen);
    dispatchEvent(new StorageEvent("storage", { key: "berth.language" }));
  }, language);
  if (!page.url().endsWith("/docs")) await page.locator(`html[lang=${language}]`).waitFor();
}

describe("every page", () => {
  test("has no barrier in either language, light and dark, and all of it in view at every width", async () => {
    const { page, client } = await meet({ admin: true });
    const agent = await client.createAgent("a-rather-long-name-of-an-agent-that-does-many-things");
    const { run } = await client.runToEnd(
      agent.id,
      "demo: say # One\n\n| a | b |\n|---|---|\n| 1 | a long column of words that goes on for a while |\n\n```ts\nconst x = 1;\n```\n\n> quote [link](https://a.example/)",
    );
    await client.runToEnd(agent.id, "demo: run echo hello; exit 3");
    await client.runToEnd(agent.id, "demo: run git init -q; seq -s ' ' 500 >a-long-line; head -c 9 /dev/zero >binary");
    await client.ok("POST", "/v1/tokens", { name: "a token with a name of some length", expiresInSeconds: 86_400 });
    await client.ok("POST", `/v1/agents/${agent.id}/triggers`, {
      name: "hook",
      scheme: "github",
      template: "{{payload}}",
    });
    for (let at = 0; at < 12; at++) await client.ok("POST", "/v1/tokens", { name: `t${at}`, expiresInSeconds: 3600 });
    const tabs = ["", "/terminal", "/files", "/changes?file=a-long-line", "/triggers", "/settings"].map(
      (tab) => `/agents/${agent.id}${tab}`,
    );
    for (const path of [
      "/",
      ...tabs,
      "/search?q=long",
      "/runs",
      `/runs/${run.id}`,
      "/use",
      "/tokens",
      "/credentials",
      "/account",
      "/users",
      "/hosts",
      "/audit",
      "/docs",
      "/nowhere",
    ]) {
      await page.goto(path);
      await page.locator("main h1").first().waitFor();
      await page.waitForLoadState("networkidle");
      for (const { language, width, look } of looks) {
        if (language === "ko" && path === "/docs") continue;
        await speak(page, language);
        await page.setViewportSize({ width, height: 800 });
        if (look) await page.emulateMedia({ colorScheme: look });
        const at = { path, language, width };
        // A page takes note of a new width when it is next drawn.
        const seen = async () => ({ ...at, ...(await outOfView(page)) });
        await expect.poll(seen).toEqual({ ...at, outside: [], heads: [], isWide: false });
        if (look) expect({ ...at, look, barriers: await findBarriers(page) }).toEqual({ ...at, look, barriers: [] });
      }
    }
    await speak(page, "en");
    await page.goto("/tokens");
    await page.getByRole("button", { name: "Revoke t1", exact: true }).click();
    expect(await findBarriers(page)).toEqual([]);
  });

  test("stands still for who wishes so", async () => {
    const moving = async (reducedMotion: "reduce" | "no-preference") => {
      const { page, client } = await meet({ reducedMotion });
      const agent = await client.createAgent("busy", { runtime: "shell" });
      await client.send(agent.id, "sleep 30");
      await page.goto("/");
      await page.locator(".badge.busy").first().waitFor();
      return page.evaluate(() => document.getAnimations().length);
    };
    expect(await moving("no-preference")).toBeGreaterThan(0);
    expect(await moving("reduce")).toBe(0);
  });

  test.each(["light", "dark"] as const)(
    "before sign-in and with the menu open has no barrier either, %s",
    async (colorScheme) => {
      const outside = await stranger({ colorScheme });
      await outside.goto("/");
      await outside.getByLabel("Sign in with an API token").waitFor();
      expect(await findBarriers(outside)).toEqual([]);
      const { page, client } = await meet({ colorScheme, viewport: { width: 380, height: 760 } });
      const agent = await client.createAgent("one", { runtime: "shell" });
      await client.runToEnd(agent.id, "echo oops >&2; exit 3");
      await page.goto(`/agents/${agent.id}`);
      await lastEnd(page).getByText("Failed: exit code 3").waitFor();
      expect(await findBarriers(page)).toEqual([]);
      await page.getByRole("button", { name: "Menu" }).click();
      await page.getByRole("link", { name: "API tokens" }).waitFor();
      expect(await findBarriers(page)).toEqual([]);
      await page.keyboard.press("Escape");
      await eventually(() => page.getByRole("link", { name: "API tokens" }).count()).toBe(0);
    },
  );
});

test("runs are found by agent, state and trigger", async () => {
  const { page, client } = await meet();
  const [one, two] = [
    await client.createAgent("one", { runtime: "shell" }),
    await client.createAgent("two", { runtime: "shell" }),
  ];
  await client.runToEnd(one.id, "echo fine");
  await client.runToEnd(two.id, "exit 1");
  const hook = await client.ok<{ url: string; secret: string }>("POST", `/v1/agents/${two.id}/triggers`, {
    name: "hook",
    scheme: "token",
    template: "echo hooked",
  });
  await fetch(berth.url + new URL(hook.url).pathname, {
    method: "POST",
    headers: { authorization: `Bearer ${hook.secret}` },
    body: "x",
  });
  await page.goto("/runs");
  const messages = page.locator(".runs .message");
  await eventually(() => messages.allTextContents()).toEqual(["echo hookedwebhook", "exit 1", "echo fine"]);
  await page.getByLabel("Agent", { exact: true }).selectOption("two");
  await eventually(() => messages.allTextContents()).toEqual(["echo hookedwebhook", "exit 1"]);
  await page.getByLabel("State", { exact: true }).selectOption("Failed");
  await eventually(() => messages.allTextContents()).toEqual(["exit 1"]);
  await page.getByLabel("State", { exact: true }).selectOption("All states");
  const asked = page.waitForRequest(/triggerKind=webhook/);
  await page.getByLabel("Started by").selectOption("Webhook");
  await asked;
  await eventually(() => messages.allTextContents()).toEqual(["echo hookedwebhook"]);
  await page.getByLabel("Agent", { exact: true }).selectOption("one");
  await page.getByText("No runs match these filters.").waitFor();
});

test("a token is made, shown once, used, and revoked", async () => {
  const { page, name } = await meet();
  await page.goto("/tokens");
  await page.getByLabel("Name of the token").fill("ci");
  await page.getByRole("button", { name: "Create a token" }).click();
  const token = (await page.locator(".shown-once pre").textContent())!;
  const ask = () => fetch(`${berth.url}/v1/me`, { headers: { authorization: `Bearer ${token}` } });
  expect(await (await ask()).json()).toMatchObject({ user: { name } });
  await page.reload();
  await page.getByRole("button", { name: "Revoke ci" }).click();
  expect(await page.content()).not.toContain(token);
  await page.getByRole("button", { name: "Revoke", exact: true }).click();
  await eventually(() => page.getByRole("cell", { name: "ci", exact: true }).count()).toBe(0);
  expect((await ask()).status).toBe(401);
});

test("a credential and a secret are kept, listed without their values, and deleted", async () => {
  const { page, client } = await meet();
  await page.goto("/credentials");
  await page.getByText("No credentials for git yet.").waitFor();
  const [git, secret] = [page.locator("form.keep").first(), page.locator("form.keep").last()];
  await git.getByLabel("Host").fill("git.example.com");
  await git.getByLabel("Username").fill("ada");
  await git.getByLabel("Access token").fill("tok_12345678");
  await git.getByLabel("Repositories").fill("acme/app, ada/*");
  await git.getByLabel("Read-only").check();
  await git.getByRole("button", { name: "Save the credential" }).click();
  await page.getByText("ada · acme/app, ada/* · read-only").waitFor();
  expect(await git.getByLabel("Access token").inputValue()).toBe("");
  await secret.getByLabel("Name of the secret").fill("Not A Name");
  await secret.getByLabel("Value", { exact: true }).fill("val_12345678");
  await secret.getByLabel("Hosts").fill("api.example.com");
  await secret.getByRole("button", { name: "Save the secret" }).click();
  await secret.getByRole("alert").waitFor();
  await secret.getByLabel("Name of the secret").fill("tracker");
  await secret.getByRole("button", { name: "Save the secret" }).click();
  await page.getByText("api.example.com · Authorization: Bearer {}").waitFor();
  await page.reload();
  await page.getByText("api.example.com · Authorization: Bearer {}").waitFor();
  expect(await page.content()).not.toMatch(/tok_12345678|val_12345678/);
  expect(await client.ok("GET", "/v1/git-credentials")).toMatchObject({
    items: [{ host: "git.example.com", username: "ada", readOnly: true, repositories: ["acme/app", "ada/*"] }],
  });
  for (const name of ["git.example.com", "tracker"]) {
    await page.getByRole("button", { name: `Delete ${name}` }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
    await eventually(() => page.getByRole("cell", { name, exact: true }).count()).toBe(0);
  }
  for (const kind of ["git-credentials", "secrets"])
    expect(await client.ok("GET", `/v1/${kind}`)).toMatchObject({ items: [] });
});

test("a message is found by a word of its answer, shown where it stands in its conversation, and downloaded with it", async () => {
  const { page, client } = await meet();
  const agent = await client.createAgent("finder", { runtime: "shell" });
  await client.runToEnd(agent.id, "echo heron; seq 200");
  for (const nth of [1, 2, 3]) await client.runToEnd(agent.id, `seq ${nth}00`);
  await page.goto("/search");
  await page.getByLabel("Words to look for").fill("seq her");
  await page.keyboard.press("Enter");
  await page.getByText("No message has all of these words.").or(page.locator(".found a")).waitFor();
  await page.locator(".found a").click();
  const found = page.locator(".run:focus");
  await eventually(() => found.locator(".prompt").textContent()).toContain("echo heron");
  await eventually(() => found.evaluate((element) => Math.abs(element.getBoundingClientRect().top) < innerHeight)).toBe(
    true,
  );
  await page.goBack();
  expect(await page.getByLabel("Words to look for").inputValue()).toBe("seq her");

  await page.goto(`/agents/${agent.id}/settings`);
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download as Markdown" }).click();
  const text = readFileSync(await (await download).path(), "utf8");
  expect(text).toMatch(
    /^# finder\n\n## .*\n\n```\necho heron; seq 200\n```\n\n```\n[^]*\n200\n```\n\n\*Finished · .*\*\n\n## .*\n\n```\nseq 100\n```\n/,
  );
});

/** What a page takes to load with nothing kept, on the wire, and what it asks for more than once. */
async function createScales(page: Page) {
  // What the page asks as a run ends is not of the next load.
  await page.goto("about:blank");
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Network.enable");
  let urls: string[] = [];
  let bytes = 0;
  devtools.on("Network.requestWillBeSent", ({ request }) => urls.push(`${request.method} ${request.url}`));
  devtools.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
  return async (path: string, isThere: () => Promise<unknown> = async () => {}) => {
    [urls, bytes] = [[], 0];
    await devtools.send("Network.clearBrowserCache");
    await page.goto(path);
    await isThere();
    await page.waitForLoadState("networkidle");
    return { bytes, urls, twice: urls.filter((url, at) => urls.indexOf(url) !== at) };
  };
}

test.each(["en", "ko"])(
  "the first page and a conversation are light in %s, and ask for nothing twice",
  async (locale) => {
    const { page, client } = await meet({ locale });
    const agent = await client.createAgent("light", { runtime: "shell" });
    for (const nth of [1, 2, 3]) await client.runToEnd(agent.id, `echo ${nth}`);
    const weigh = await createScales(page);
    const [first, conversation] = [await weigh("/"), await weigh(`/agents/${agent.id}`)];
    expect([first.twice, conversation.twice]).toEqual([[], []]);
    expect(first.bytes).toBeGreaterThan(30_000);
    expect(first.bytes).toBeLessThan(60_000);
    expect(conversation.bytes).toBeLessThan(75_000);
  },
);

test("an admin's conversation that has all that one can have is as light in both languages", async () => {
  const { page, client } = await meet({ admin: true });
  const newest = "demo: say ```ts\nconst x: number = 1; // TODO why\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |";
  const agent = await fillConversation(berth, client, 60, { runtime: "claude", newest });
  const credential = { username: "ada", token: "token of ada" };
  await client.ok("PUT", "/v1/git-credentials/git.example.com", credential);
  const db = new Database(join(berth.dir, "gateway.sqlite"));
  db.prepare("update agents set repository = 'https://git.example.com/acme/app' where id = ?").run(agent.id);
  db.close();
  const weigh = await createScales(page);
  for (const [locale, pullRequest] of [
    ["en", "Open a pull request"],
    ["ko", "풀 리퀘스트 열기"],
  ] as const) {
    const first = await weigh("/");
    await speak(page, locale);
    const conversation = await weigh(`/agents/${agent.id}`, async () => {
      await page.locator(".code-block .code-kwd").first().waitFor();
      await page.getByRole("button", { name: pullRequest }).waitFor();
      await page.locator(".earlier button").waitFor();
    });
    const parts = ["messages", "pull-request", "ts"].filter((part) =>
      conversation.urls.some((url) => url.includes(`/assets/${part}-`)),
    );
    expect([locale, first.twice, conversation.twice, parts.length]).toEqual([locale, [], [], 3]);
    expect(conversation.bytes).toBeLessThan(75_000);
  }
});

test.each(["en", "ko"])(
  "in %s something is painted with what the document names and the words, before any answer of the API, and the frame before the lists",
  async (locale) => {
    const { page, client } = await meet({ locale });
    const agent = await client.createAgent("early", { runtime: "shell" });
    // What the page before asked is not of this load.
    await page.goto("about:blank");
    const held: (() => void)[] = [];
    let letThrough: RegExp = /^$/;
    await page.route(/\/(session|v1\/[^?]*)(\?.*)?$/, async (route) => {
      if (!letThrough.test(new URL(route.request().url()).pathname))
        await new Promise<void>((resolve) => held.push(resolve));
      await route.continue();
    });
    const document = (await (await page.request.get("/")).text()).replaceAll("\n", " ");
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Network.enable");
    await devtools.send("Network.clearBrowserCache");
    const urls: string[] = [];
    let bytes = 0;
    devtools.on("Network.responseReceived", ({ response }) => urls.push(new URL(response.url).pathname));
    devtools.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
    await page.goto(`/agents/${agent.id}`, { waitUntil: "commit" });
    await page.locator(".splash").waitFor();
    await eventually(() => page.evaluate(() => performance.getEntriesByName("first-contentful-paint").length)).toBe(1);
    const scripts = urls.filter((url) => /\.(js|css)$/.test(url));
    expect(scripts.filter((url) => document.includes(url)).length).toBe(4);
    expect(scripts.filter((url) => !document.includes(url)).length).toBe(1);
    expect(urls.filter((url) => /^\/(v1|session)/.test(url))).toEqual([]);
    expect(bytes).toBeLessThan(55_000);
    letThrough = /^\/(session|v1\/me)$/;
    for (const go of held.splice(0)) go();
    await page.locator("section.bar").waitFor();
    await page.locator("#sidebar").waitFor();
    expect(urls.filter((url) => /^\/(v1|session)/.test(url))).toEqual(["/session", "/v1/me"]);
    letThrough = /./;
    for (const go of held.splice(0)) go();
    await page.getByLabel(/early/).first().waitFor();
  },
);

describe("an admin", () => {
  test("adds a user and gets a link that signs them in once, or a token, and they are out at once when disabled", async () => {
    const { page } = await meet({ admin: true });
    await page.goto("/users");
    await page.getByLabel("Name of a new user").fill("newcomer");
    await page.getByRole("button", { name: "Add" }).click();
    await page.getByRole("button", { name: "Create a sign-in link" }).click();
    const link = new URL((await page.locator(".shown-once pre").textContent())!);
    await page.getByRole("dialog").getByText("This address works on Berth's own machine only.").waitFor();
    await page.getByRole("button", { name: "Done" }).click();
    const invited = await stranger();
    await invited.goto(`/${link.hash}`);
    await invited.getByText("newcomer").waitFor();
    const tooLate = await stranger();
    await tooLate.goto(`/${link.hash}`);
    await tooLate.getByText("already been used or has expired").waitFor();
    const waiting = await stranger();
    await waiting.goto("/");
    await waiting.getByLabel("Sign in with an API token").waitFor();
    await waiting.goto(`/${link.hash}`);
    await waiting.getByText("already been used or has expired").waitFor();
    const row = page.getByRole("row", { name: /^newcomer/ });
    await row.locator("summary").click();
    await row.getByRole("button", { name: "Create a token" }).click();
    await page.getByLabel("Name of the token").fill("first");
    await page.getByRole("dialog").getByRole("button", { name: "Create a token" }).click();
    const token = (await page.locator(".shown-once pre").textContent())!;
    await page.getByRole("button", { name: "Done" }).click();
    const theirs = await stranger();
    await theirs.goto("/users");
    await theirs.getByLabel("Sign in with an API token").fill(token);
    await theirs.keyboard.press("Enter");
    await theirs.getByText("newcomer").waitFor();
    await theirs.getByRole("heading", { name: "There is nothing here" }).waitFor();
    await row.getByRole("button", { name: "Change the role" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await row.locator("summary").click();
    await row.getByRole("button", { name: "Disable" }).click();
    await page.getByRole("button", { name: "Disable", exact: true }).click();
    await row.getByText("disabled").waitFor();
    await theirs.getByText("Your session has ended").waitFor();
    await invited.getByText("Your session has ended").waitFor();
    await page.goto("/audit");
    await page.getByLabel("Action").selectOption("User disabled");
    await page.getByRole("row", { name: /User disabled.*newcomer/ }).waitFor();
  });

  test("deletes a user after having read what goes and what stays, by typing the name", async () => {
    const { page } = await meet({ admin: true });
    const leaver = await berth.client("leaver");
    await leaver.createAgent("theirs", { runtime: "shell" });
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.goto("/users");
    const row = page.getByRole("row", { name: /^leaver/ });
    await page.getByLabel("Find by name").fill("LEAV");
    await eventually(() => page.locator("table.list tbody tr").count()).toBe(1);
    await page.reload();
    await row.waitFor();
    expect(await page.locator("table.list tbody tr").count()).toBe(1);
    // Its actions stand in one line.
    const heights = await row.getByRole("cell").evaluateAll((cells) => cells.map((cell) => cell.clientHeight));
    expect(Math.max(...heights)).toBeLessThan(60);
    await row.locator("summary").click();
    await row.getByRole("button", { name: "Delete…" }).click();
    const dialog = page.getByRole("dialog", { name: "Delete leaver permanently?" });
    await dialog.getByText("Their agent, all their files, conversations").waitFor();
    await dialog.getByText("the audit log keeps their name for a year").waitFor();
    const act = dialog.getByRole("button", { name: "Delete permanently" });
    expect(await act.isDisabled()).toBe(true);
    expect(await findBarriers(page)).toEqual([]);
    await dialog.getByLabel("Type leaver to confirm").fill("leaver");
    await act.click();
    await row.waitFor({ state: "detached" });
    expect((await leaver.call("GET", "/v1/me")).status).toBe(401);
    await page.goto("/audit");
    await page.getByLabel("Action").selectOption("User deleted");
    await page.getByRole("row", { name: /User deleted.*leaver/ }).waitFor();
  });

  test("finds one of more users than a page of the API has, and is shown a screenful at a time", async () => {
    const { page } = await meet({ admin: true });
    const db = new Database(join(berth.dir, "gateway.sqlite"));
    const insert = db.prepare(
      "INSERT INTO users (id, name, role, disabled, created_at) VALUES (?, ?, 'user', 0, '2099-01-01T00:00:00.000Z')",
    );
    db.transaction(() => {
      for (let nth = 0; nth < 1100; nth++) insert.run(`usr_many${nth}`, `one of many ${nth}`);
    })();
    try {
      await page.goto("/users");
      const rows = page.locator("table.list tbody tr");
      await eventually(() => rows.count()).toBe(200);
      await page.getByRole("button", { name: /^Show more of 1,1\d\d$/ }).click();
      await eventually(() => rows.count()).toBe(400);
      const menu = rows.last().locator("details");
      await menu.locator("summary").click();
      await menu.getByRole("button", { name: "Delete…" }).waitFor();
      const bottom = async () => {
        const panel = (await menu.locator(".panel").boundingBox())!;
        return panel.y + panel.height;
      };
      await eventually(bottom).toBeLessThan(801);
      await page.getByLabel("Find by name").pressSequentially("many 1099");
      await eventually(() => rows.count()).toBe(1);
    } finally {
      db.prepare("DELETE FROM users WHERE id LIKE 'usr_many%'").run();
      db.close();
    }
  });

  test("gives a user limits of their own, in units that people use, and takes them back", async () => {
    const { page } = await meet({ admin: true });
    const limited = await berth.client("limited");
    const limits = async () => (await limited.ok<Me>("GET", "/v1/me")).limits;
    await page.goto("/users");
    const row = page.getByRole("row", { name: /^limited/ });
    const dialog = page.getByRole("dialog", { name: "Limits of limited" });
    const set = async (texts: Record<string, string>) => {
      await row.locator("summary").click();
      await row.getByRole("button", { name: "Limits…" }).click();
      for (const [label, text] of Object.entries(texts)) await dialog.getByLabel(label).fill(text);
      await dialog.getByRole("button", { name: "Set limits" }).click();
    };
    const before = await limits();
    await set({ "Memory (MB)": "512", "Daily budget (US dollars)": "2.5" });
    await row.getByText("custom limits").waitFor();
    expect(await limits()).toEqual({ ...before, memoryBytes: 512e6, dailyBudgetUsd: 2.5 });
    await set({ Agents: "0" });
    await dialog.getByRole("alert").waitFor();
    expect(await findBarriers(page)).toEqual([]);
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await set({ "Memory (MB)": "", "Daily budget (US dollars)": "" });
    await row.getByText("custom limits").waitFor({ state: "detached" });
    expect(await limits()).toEqual(before);
  });

  test("reads names and units in the audit and in what a host warns of, never ids", async () => {
    const { page, client } = await meet({ admin: true });
    const clerk = await berth.client("clerk");
    const { user } = await clerk.ok<Me>("GET", "/v1/me");
    const agent = await clerk.createAgent("theirs", { runtime: "shell" });
    await clerk.ok("PATCH", `/v1/agents/${agent.id}`, { model: "m-1" });
    const hook = { name: "hook", scheme: "token", template: "true" };
    await clerk.ok("POST", `/v1/agents/${agent.id}/triggers`, hook);
    const token = await clerk.ok<{ id: string }>("POST", "/v1/tokens", { name: "ci", expiresInSeconds: 3600 });
    await clerk.ok("DELETE", `/v1/tokens/${token.id}`);
    const set = (limits: object) => client.ok("PATCH", `/v1/admin/users/${user.id}`, { limits });
    await set({ memoryBytes: 512e6, dailyBudgetUsd: 2.5 });
    await set({ memoryBytes: null });
    await page.goto("/audit");
    const rowOf = (words: RegExp) => page.locator("tbody tr", { hasText: words }).first().waitFor();
    await rowOf(/clerkby tokenAgent changedtheirs.*changed: model$/);
    await rowOf(/clerkby tokenTrigger createdhook.*agent: theirs · scheme: Bearer token$/);
    await rowOf(/clerkby tokenToken revokedci/);
    await rowOf(/harnessby tokenToken created.*expires: .* · user: clerk$/);
    await rowOf(/Limits changedclerk.*memory: 512 MB · daily budget: \$2\.50$/);
    await rowOf(/Limits changedclerk.*memory: the host's setting$/);
    await rowOf(/by tokenSigned intest.*by: API token$/);
    expect(await page.locator("tbody").textContent()).not.toMatch(/(usr|agt|tok|trg)_/);
    await page.route(/\/v1\/admin\/hosts\?/, async (route) => {
      const answer = await route.fetch();
      const { items } = (await answer.json()) as { items: Host[] };
      const alert = { kind: "out_of_memory", userId: user.id, count: 12, lastAt: new Date().toISOString() } as const;
      for (const { load } of items) load?.alerts.push(alert);
      await route.fulfill({ response: answer, json: { items, nextCursor: null } });
    });
    await page.goto("/hosts");
    await page.getByText("User clerk: Stopped: out of memory, 12 times within an hour.").waitFor();
  });

  test("sees the last hour of host and gateway, and in words what was not heard of", async () => {
    const { page } = await meet({ admin: true });
    const db = new Database(join(berth.dir, "gateway.sqlite"));
    const minute = (ago: number) => new Date(Math.floor(Date.now() / 60_000 - ago) * 60_000).toISOString();
    db.prepare("DELETE FROM host_minutes").run();
    const insert = db.prepare("INSERT INTO host_minutes SELECT id, ?, 1, 2, 3000000000, 1, 40 FROM hosts");
    for (const ago of [2, 3, 4]) insert.run(minute(ago));
    db.prepare("UPDATE hosts SET created_at = ?").run(minute(9));
    db.close();
    await page.goto("/hosts");
    await page.getByRole("img", { name: /^Gateway in the last hour: slowest answer to a host \d+/ }).waitFor();
    const chart = page.getByRole("img", { name: /^Memory in the last hour: at most \d.* no report in/ });
    await chart.waitFor();
    await eventually(() => chart.locator(".unknown").count()).toBeGreaterThan(0);
    expect(await findBarriers(page)).toEqual([]);
  });

  test("sees a host's load, drains it and takes it back, and copies a command for another one", async () => {
    const { page, client } = await meet({ admin: true });
    const agent = await client.createAgent("load", { runtime: "shell" });
    await client.send(agent.id, "sleep 60");
    await page.goto("/hosts");
    const card = page.locator(".card.host");
    await eventually(() => card.locator(".load").textContent()).toMatch(/Runs[1-9]\d* on \d+ core/);
    expect(await card.getByRole("meter").count()).toBe(2);
    onTestFinished(async () => void (await client.call("POST", `/v1/admin/hosts/${berth.hostId}/resume`)));
    await card.getByRole("button", { name: "Drain…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Drain", exact: true }).click();
    await card.getByText("Draining", { exact: true }).waitFor();
    await card.getByText("It takes no new users.").waitFor();
    await card.getByRole("button", { name: "Take new users again" }).click();
    await card.getByText("Live", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Create a join command" }).click();
    expect(await page.locator(".shown-once pre").textContent()).toMatch(
      /BERTH_GATEWAY_URL=\S+ BERTH_JOIN_TOKEN=\S+ .*npm run host/,
    );
    await Promise.all([
      page.getByRole("button", { name: /^(Copied|Select it)/ }).waitFor(),
      page.getByRole("button", { name: "Copy", exact: true }).click(),
    ]);
  });
});

test("sign-in with an OpenID provider leads there and back, and a refusal is said", async () => {
  const provider = await startProvider({
    redirectUri: `${berth.url}/session/oidc/callback`,
    accounts: { ada: { preferred_username: "ada-at-provider" } },
  });
  const restart = async (env: Record<string, string>) => {
    await berth.gateway.kill("SIGTERM");
    await berth.gateway.start(env);
  };
  const person = await openWindow(world.browser, berth);
  try {
    await restart({
      BERTH_PUBLIC_URL: berth.url,
      BERTH_OIDC_ISSUER: provider.issuer,
      BERTH_OIDC_CLIENT_ID: "berth",
      BERTH_OIDC_CLIENT_SECRET: "secret of berth, which is long enough",
    });
    const { page } = person;
    const signInAs = async (subject: string) => {
      await fetch(`${provider.issuer}/control/who?sub=${subject}`);
      await page.goto("/");
      await page.getByRole("link", { name: "Sign in" }).click();
    };
    await signInAs("nobody");
    await page.getByRole("heading", { name: "Sign-in did not succeed" }).waitFor();
    await signInAs("ada");
    await page.getByRole("heading", { name: "Create your first agent" }).waitFor();
    await page.getByText("ada-at-provider").waitFor();
    expect(person.mishaps.filter((mishap) => !mishap.includes(provider.issuer))).toEqual([]);
  } finally {
    await person.close();
    await provider.close();
    await restart({});
  }
});
