/** The page speaks a person's language, in the theme they want, and what it says and shows is so. */
import { createHmac } from "node:crypto";
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import type { Run } from "@berth/shared/resources";
import { eventually, lastEnd, serveDashboard } from "./browser/dashboard.ts";

const { world, meet, stranger } = serveDashboard();

describe("the language", () => {
  test("is the browser's, of which alone the words are loaded, and a switch changes it at once, in every tab, for good", async () => {
    const { page, client } = await meet({ locale: "ko-KR" });
    const asked: string[] = [];
    page.on("request", (request) => asked.push(new URL(request.url()).pathname));
    await page.reload();
    await page.getByRole("heading", { name: "첫 에이전트를 만드세요" }).waitFor();
    expect(await page.evaluate(() => [document.documentElement.lang, document.title])).toEqual([
      "ko",
      "에이전트 · Berth",
    ]);
    const catalogues = () => asked.flatMap((path) => /^\/assets\/(en|ko)-/.exec(path)?.[1] ?? []);
    expect(catalogues()).toEqual(["ko"]);
    const agent = await client.createAgent("taken");
    await page.getByLabel("새 에이전트의 이름").first().fill("taken");
    await page.getByRole("button", { name: "만들기" }).first().click();
    await page.getByRole("alert").getByText("같은 이름의 에이전트가 이미 있어요.").waitFor();
    const other = await page.context().newPage();
    await other.goto(`/agents/${agent.id}`);
    await other.getByRole("heading", { name: "첫 메시지를 보내세요" }).waitFor();
    await page.getByLabel("언어").selectOption("en");
    await page.getByRole("alert").getByText("An agent of this name exists already.").waitFor();
    await other.getByRole("heading", { name: "Write the first message" }).waitFor();
    await page.reload();
    await eventually(() => page.evaluate(() => document.documentElement.lang)).toBe("en");
    expect(catalogues()).toEqual(["ko", "en", "en"]);
    // What only few pages say comes with them, and follows the language too.
    await page.getByRole("link", { name: "Credentials" }).click();
    await page.getByText("What your agents use and never see.").waitFor();
    expect(catalogues()).toEqual(["ko", "en", "en", "en"]);
    await page.getByLabel("Language").selectOption("ko");
    await page.getByText("에이전트가 쓸 수는 있지만 볼 수는 없는 값이에요.").waitFor();
  });

  test("can be chosen before sign-in", async () => {
    const page = await stranger();
    await page.goto("/");
    await page.getByLabel("Language").selectOption("한국어");
    await page.getByLabel("API 토큰으로 로그인").waitFor();
  });

  test("has Korean lines break between words, whatever the page speaks", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("korean");
    await client.runToEnd(agent.id, "demo: say 의존성을 업데이트했습니다.");
    await page.goto(`/agents/${agent.id}`);
    const answer = page.locator(".markdown").getByText("의존성을");
    await eventually(() => answer.evaluate((element) => getComputedStyle(element).wordBreak)).toBe("keep-all");
  });
});

const background = (page: Page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

test("a tab in the background tells in title and icon how a run ended, until it is looked at", async () => {
  const { page, client } = await meet();
  const agent = await client.createAgent("distant", { runtime: "shell" });
  const look = (state: "hidden" | "visible") =>
    page.evaluate((now) => {
      Object.defineProperty(document, "visibilityState", { value: now, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, state);
  const told = () =>
    page.evaluate(() => [document.title, document.querySelector<HTMLLinkElement>("link[rel=icon]")!.href]);
  await page.goto("/runs");
  for (const [script, mark] of [
    ["exit 3", "failed"],
    ["true", "done"],
  ] as const) {
    await look("hidden");
    const run = await client.send(agent.id, `until [ -e ${mark} ]; do sleep 0.1; done; ${script}`);
    await page.locator("td .badge.busy, .runs .badge.busy").first().waitFor();
    await client.ok("PUT", `/v1/agents/${agent.id}/files/${mark}`, "");
    await client.finish(run.id);
    await eventually(told).toEqual([`(${mark}) distant · Berth`, `${world.berth.url}/favicon-${mark}.svg`]);
    await look("visible");
    await eventually(told).toEqual(["Runs · Berth", `${world.berth.url}/favicon.svg`]);
  }
});

test("can be installed: its manifest is valid, and its icons are there", async () => {
  const { page } = await meet();
  const devtools = await page.context().newCDPSession(page);
  const { url, errors, data } = await devtools.send("Page.getAppManifest");
  expect({ path: new URL(url).pathname, errors }).toEqual({ path: "/manifest.webmanifest", errors: [] });
  const { icons } = JSON.parse(data!) as { icons: { src: string; type: string }[] };
  for (const { src, type } of icons) expect((await page.request.get(src)).headers()["content-type"]).toContain(type);
});

test("the theme is the system's until another is chosen, and that one is there before the page's own code", async () => {
  const page = await stranger({ colorScheme: "light" });
  await page.goto("/");
  const light = await background(page);
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await background(page);
  expect(dark).not.toBe(light);
  await page.emulateMedia({ colorScheme: "light" });
  await page.getByLabel("Theme").selectOption("Dark");
  await eventually(() => background(page)).toBe(dark);
  await page.route("**/assets/*.js", (route) => route.abort());
  await page.reload();
  expect([await background(page), await page.locator("#app > *").count()]).toEqual([dark, 0]);
});

describe("what is said of a run", () => {
  test("is by the gateway's clock where the reader's own is wrong", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("early", { runtime: "shell" });
    const run = await client.send(agent.id, "echo up; exec sleep 600");
    await client.firstLine(run.id);
    await page.addInitScript(() => {
      const { now } = Date;
      Date.now = () => now() + 3_600_000;
    });
    await page.goto(`/agents/${agent.id}`);
    const elapsed = page.locator(".end.going").getByText(/^for \d/);
    await elapsed.waitFor();
    expect(await elapsed.textContent()).not.toContain("h");
    expect(await page.locator(".prompt time").first().textContent()).toMatch(/now|second|minute/);
    await client.ok("POST", `/v1/runs/${run.id}/cancel`);
  });

  test("is right to the second while it goes on", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("timed", { runtime: "shell" });
    const run = await client.send(agent.id, "echo up; exec sleep 600");
    await client.firstLine(run.id);
    await page.goto(`/agents/${agent.id}`);
    const elapsed = page.locator(".end.going").getByText(/^for \d/);
    await elapsed.waitFor();
    const seen = await elapsed.evaluate(
      (element) =>
        new Promise<string[]>((resolve) => {
          const texts = [element.textContent];
          new MutationObserver(() => texts.push(element.textContent) === 4 && resolve(texts)).observe(element, {
            characterData: true,
            childList: true,
            subtree: true,
          });
        }),
    );
    const seconds = seen.map((text) => Number(/(\d+)(?:\.0)?s$/.exec(text)?.[1]));
    // A browser that is late may leave one out.
    expect(seconds.slice(1).every((second, at) => (second - seconds[at]! + 60) % 60 <= 3)).toBe(true);
    await client.ok("POST", `/v1/runs/${run.id}/cancel`);
  });

  test("hardly moves on a phone while its transcripts come", async () => {
    const { page, client } = await meet({ viewport: { width: 380, height: 760 }, hasTouch: true, isMobile: true });
    const agent = await client.createAgent("calm", { runtime: "shell" });
    const runs: Run[] = [];
    for (const lines of [30, 3, 30]) runs.push((await client.runToEnd(agent.id, `seq ${lines}`)).run);
    const frames: string[] = [];
    page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => void frames.push(String(payload))));
    const isTold = ({ id, logBytes }: Run) =>
      frames.some((frame) => frame.includes(`"runId":"${id}"`) && frame.includes(`"offset":${logBytes},`));
    await page.addInitScript(() => {
      const moved: number[] = [];
      const note = (list: PerformanceObserverEntryList) =>
        moved.push(...list.getEntries().map((entry) => (entry as unknown as { value: number }).value));
      new PerformanceObserver(note).observe({ type: "layout-shift", buffered: true });
      Object.assign(globalThis, { moved });
    });
    const moved = [];
    for (let nth = 0; nth < 5; nth++) {
      await page.goto("about:blank");
      frames.length = 0;
      await page.goto(`/agents/${agent.id}`);
      // A result is there before its transcript.
      await eventually(() => runs.every(isTold)).toBe(true);
      await page.locator(".run").last().locator(".output").waitFor();
      await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
      moved.push(await page.evaluate(() => (globalThis as unknown as { moved: number[] }).moved));
    }
    expect(Math.max(0, ...moved.flat())).toBeLessThan(0.01);
  });

  test("stands where it is while earlier messages come, and has one width whatever it says", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("history", { runtime: "shell" });
    const runs = [];
    for (const nth of [1, 2, 3, 4, 5, 6]) runs.push(await client.runToEnd(agent.id, `echo ${nth}; seq 40`));
    await page.route(/\/v1\/runs\?limit=50/, (route) =>
      route.continue({ url: route.request().url().replace("limit=50", "limit=3") }),
    );
    await page.goto(`/agents/${agent.id}`);
    const first = page.locator(`[id="${runs[3]!.run.id}"]`);
    await first.waitFor();
    const toTop = () => page.locator(".scroller").evaluate((box) => (box.scrollTop = 0));
    await toTop();
    await first.locator(".output").waitFor();
    await toTop();
    const before = (await first.boundingBox())!;
    await page.getByRole("button", { name: "Earlier messages" }).click();
    await page.locator(`[id="${runs[0]!.run.id}"]`).waitFor();
    await eventually(async () => Math.abs((await first.boundingBox())!.y - before.y)).toBeLessThan(2);
    const short = await client.runToEnd(agent.id, "true");
    const widths = [];
    for (const { run } of [short, runs[0]!]) {
      await page.goto(`/runs/${run.id}`);
      widths.push((await page.locator(".thread").boundingBox())!.width);
    }
    expect(new Set(widths).size).toBe(1);
  });

  test("filters of the list stand at its edge, however long an agent's name is", async () => {
    const { page, client } = await meet();
    await client.createAgent("a-rather-long-name-of-an-agent-that-does-many-things-and-more");
    await page.goto("/runs");
    const edge = async (what: string) => {
      const box = (await page.locator(what).last().boundingBox())!;
      return Math.round(box.x + box.width);
    };
    await page.locator(".filters option").nth(1).waitFor({ state: "attached" });
    expect(await edge(".filters select")).toBe(await edge(".page-head"));
  });
});

test("the first page says what is not known yet, and its form begins below its text", async () => {
  const { token } = await world.berth.client("newcomer");
  const page = await stranger();
  // Nothing comes over the socket: a workspace that starts would be known.
  await page.routeWebSocket(/\/v1\/connect/, () => undefined);
  await page.request.post("/session", { headers: { origin: world.berth.url }, data: { token } });
  await page.goto("/");
  const bar = page.getByRole("region", { name: "Workspace" });
  expect([await bar.locator(".memory .value").textContent(), await bar.locator(".disk .value").textContent()]).toEqual([
    "–",
    "–",
  ]);
  expect(await bar.locator(".host, .connections").count()).toBe(0);
  const [text, field] = [page.locator(".page.first > p"), page.getByLabel("Name of a new agent")];
  const [above, below] = [(await text.boundingBox())!, (await field.boundingBox())!];
  expect(below.y - above.y - above.height).toBeLessThan(48);
});

describe("an agent", () => {
  test("is made with its kind, model and instructions, and is asked for a name", async () => {
    const { page, client } = await meet();
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("alert").getByText("Give the agent a name first.").waitFor();
    await page.getByLabel("Name of a new agent").fill("made");
    expect(await page.getByRole("alert").count()).toBe(0);
    await page.getByLabel("Model").fill("claude-x");
    await page.getByLabel("Instructions").fill("Be brief.");
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("heading", { name: "Write the first message" }).waitFor();
    const { items } = await client.ok<{ items: object[] }>("GET", "/v1/agents");
    expect(items).toMatchObject([{ name: "made", runtime: "claude", model: "claude-x", instructions: "Be brief." }]);
  });

  test("is not written to by the Enter that ends a composition, as Safari tells it", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("hangul", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}`);
    const field = page.getByLabel(/^Message to/);
    await field.fill("echo 한글");
    const isLeftAlone = await field.evaluate((element) =>
      element.dispatchEvent(
        new KeyboardEvent("keydown", { key: "Enter", keyCode: 229, bubbles: true, cancelable: true }),
      ),
    );
    expect(isLeftAlone).toBe(true);
    await field.press("Enter");
    await lastEnd(page).getByText("Finished").waitFor();
    expect((await client.ok<{ items: object[] }>("GET", `/v1/runs?agentId=${agent.id}`)).items).toHaveLength(1);
  });

  test("shows its files as it makes them, and says of one that is gone that it is", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("maker", { runtime: "shell" });
    await page.goto(`/agents/${agent.id}/files`);
    await page.getByText("Nothing here yet").waitFor();
    await client.runToEnd(agent.id, "echo x > made-by-run.txt");
    await page.getByRole("link", { name: "made-by-run.txt", exact: true }).waitFor();
    await page.goto(`/agents/${agent.id}/files?dir=&file=missing.txt`);
    await page.getByRole("alert").getByText("missing.txt is not in this folder.").waitFor();
    expect(await page.getByRole("navigation", { name: "Location" }).textContent()).toBe("Files");
  });

  test("is deleted by its name, asked for in one line", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("website");
    await page.goto(`/agents/${agent.id}/settings`);
    await page.getByRole("button", { name: "Delete this agent" }).click();
    const words = page.locator("dialog label > span");
    expect(await words.textContent()).toBe("Type website to confirm");
    const height = async () => (await words.boundingBox())!.height;
    expect(await height()).toBeLessThan(30);
  });

  test("hears nothing of GitHub's ping by the message that its trigger has at first", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("github");
    await page.goto(`/agents/${agent.id}/triggers`);
    await page.getByLabel("How the sender signs").selectOption("GitHub");
    await page.getByLabel("Name of a new trigger").fill("issues");
    await page.getByRole("button", { name: "Create the trigger" }).click();
    const secret = (await page.locator(".shown-once pre").textContent())!;
    const address = (await page.locator(".secret .address code").textContent())!;
    const deliver = async (event: string, payload: object) => {
      const body = JSON.stringify(payload);
      const signature = `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
      const headers = {
        "content-type": "application/json",
        "x-github-event": event,
        "x-github-delivery": crypto.randomUUID(),
        "x-hub-signature-256": signature,
      };
      const answer = await fetch(world.berth.url + new URL(address).pathname, { method: "POST", headers, body });
      return (await answer.json()) as { runId: string | null };
    };
    const repository = { full_name: "team/shop" };
    expect((await deliver("ping", { zen: "Keep it simple.", repository })).runId).toBeNull();
    const { runId } = await deliver("issues", { action: "opened", repository });
    const { prompt } = await client.ok<{ prompt: string }>("GET", `/v1/runs/${runId}`);
    expect(prompt).toContain("GitHub reports issues (opened) in team/shop.");
  });
});

test("an answer has headings of three sizes and numbers at the right, and is of the last message, also after one that failed", async () => {
  const { page, client } = await meet();
  const agent = await client.createAgent("marked");
  await client.runToEnd(agent.id, "demo: fail 400");
  await client.runToEnd(
    agent.id,
    "demo: say # One\n\n## Two\n\n### Three\n\n| what | count |\n|---|---:|\n| runs | 22 |",
  );
  await page.goto(`/agents/${agent.id}`);
  const answer = page.locator(".run").last().locator(".markdown");
  await answer.getByText("22").waitFor();
  const aligned = (text: string) => answer.getByText(text).evaluate((cell) => getComputedStyle(cell).textAlign);
  // The result that the gateway knows gives way to the transcript, once that is here.
  await eventually(async () => [await aligned("22"), await aligned("runs")]).toEqual([
    "right",
    expect.stringMatching(/^(left|start)$/),
  ]);
  const sizeOf = (text: string) =>
    answer
      .getByText(text, { exact: true })
      .evaluate((heading) => Number.parseFloat(getComputedStyle(heading).fontSize));
  await eventually(async () => new Set(await Promise.all(["One", "Two", "Three"].map(sizeOf))).size).toBe(3);
});

test("what few need is shown to them: a file's acts on its row, a terminal read aloud by the keyboard; and whose cost raw events have", async () => {
  const { page, client } = await meet();
  const agent = await client.createAgent("few");
  const { run } = await client.runToEnd(agent.id, "demo: run touch one two");
  await page.goto(`/agents/${agent.id}/files`);
  const [one, two] = ["one", "two"].map((name) => page.getByRole("link", { name: `Download ${name}` }));
  const opacity = (link: typeof one) => link!.evaluate((element) => getComputedStyle(element).opacity);
  await two!.hover();
  expect([await opacity(one), await opacity(two)]).toEqual(["0", "1"]);
  await one!.focus();
  expect(await opacity(one)).toBe("1");
  await page.goto(`/agents/${agent.id}/terminal`);
  const aloud = page.getByLabel("Screen reader");
  const width = () => page.locator(".toolbar .aloud").evaluate((label) => label.getBoundingClientRect().width);
  await eventually(() => page.locator(".xterm-rows").textContent()).toContain("$");
  expect(await width()).toBeLessThan(2);
  await aloud.focus();
  expect(await width()).toBeGreaterThan(20);
  await page.keyboard.press("Space");
  await page.reload();
  await eventually(() => page.locator(".xterm-rows").textContent()).toContain("$");
  expect([await aloud.isChecked(), (await width()) > 20]).toEqual([true, true]);
  await page.goto(`/runs/${run.id}`);
  await page.getByText("A cost in them is its own estimate").waitFor();
});

test("an admin is told what a join command over https needs beside it", async () => {
  const { page } = await meet({ admin: true });
  const command =
    "BERTH_GATEWAY_URL=https://berth.example.com BERTH_JOIN_TOKEN=t BERTH_HOST_URL=https://host:8081 npm run host";
  await page.route("**/join-tokens", (route) => route.fulfill({ json: { command } }));
  await page.goto("/hosts");
  await page.getByRole("button", { name: "Create a join command" }).click();
  await page.getByText("BERTH_HOST_TLS_CERT and BERTH_HOST_TLS_KEY").waitFor();
});

test("an admin is told where a join command leads nowhere, and what a change changed", async () => {
  const { page, client } = await meet({ admin: true });
  await page.goto("/hosts");
  await page.getByRole("button", { name: "Create a join command" }).click();
  await page.getByText("Another machine can't reach this Berth").waitFor();
  const agent = await client.createAgent("audited");
  await client.ok("PATCH", `/v1/agents/${agent.id}`, { name: "audited", model: "m-1" });
  await page.goto("/audit");
  await page.getByLabel("Action").selectOption("Agent changed");
  await page.getByRole("row", { name: /Agent changed.*changed: model$/ }).waitFor();
});
