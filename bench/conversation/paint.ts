/**
 * How soon Chromium paints something of the page (first contentful paint), with an empty cache and with a warm one: sign-in page and
 * a conversation, in turns, against the smallest page there is from the same server.
 */
import type { Page } from "playwright-core";
import { openBrowser, openWindow, signIn } from "../../e2e/browser/browser.ts";
import { startBerth } from "../../e2e/harness/harness.ts";
import { ensureTestPrograms } from "../../scripts/setup/test-programs.ts";
import { median, printFigures } from "../lib/figures.ts";

const rounds = 15;
await ensureTestPrograms();
const berth = await startBerth({ BERTH_IDLE_SECONDS: "600" });
const browser = await openBrowser();
try {
  const client = await berth.client("bench");
  const agent = await client.createAgent("painted", { runtime: "shell" });
  for (const nth of [1, 2, 3]) await client.runToEnd(agent.id, `echo ${nth}`);
  const [stranger, user] = [await openWindow(browser, berth), await signIn(browser, berth, client)];
  const cases = [
    { name: "sign-in page", page: stranger.page, path: "/" },
    { name: "a conversation", page: user.page, path: `/agents/${agent.id}` },
  ];
  const took = new Map<string, number[]>();
  for (let round = 0; round < rounds; round++)
    for (const { name, page, path } of cases)
      for (const cache of ["cold", "warm"]) {
        const bare = `bare ${name}, ${cache}`;
        // What a server says of what is not there is text, and nothing else is loaded for it.
        await note(took, bare, page, "/healthz", cache === "cold");
        await note(took, `${name}, ${cache}`, page, path, cache === "cold");
      }
  printFigures(
    [...took.keys()]
      .filter((name) => !name.startsWith("bare"))
      .map((name) => ({
        name: `first contentful paint, ${name}`,
        ours: median(took.get(name)!),
        bare: median(took.get(`bare ${name}`)!),
        unit: "ms",
        target: { bound: 300 },
      })),
  );
} finally {
  await browser.close();
  await berth.close();
}

async function note(took: Map<string, number[]>, name: string, page: Page, path: string, isCold: boolean) {
  await page.goto("about:blank");
  const devtools = await page.context().newCDPSession(page);
  if (isCold) await devtools.send("Network.clearBrowserCache");
  await devtools.detach();
  await page.goto(path);
  const ms = await page.evaluate(async () => {
    const paint = () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime;
    while (paint() === undefined) await new Promise(requestAnimationFrame);
    return paint()!;
  });
  took.set(name, [...(took.get(name) ?? []), ms]);
}
