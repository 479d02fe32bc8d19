/**
 * Scrolling up through a transcript of 10,000 events, and a conversation of 10,000 runs, in a real Chromium, slowly and in leaps: the
 * frames that are drawn, against those of a page that does nothing, what they cost the page's thread, and whether what is read moves
 * by anything but the scrolling.
 */
import type { CDPSession, Page } from "playwright-core";
import { fillConversation, openWhole, scrollUp } from "../e2e/browser/many-messages.ts";
import { openBrowser, signIn } from "../e2e/browser/browser.ts";
import { appendEvents } from "../e2e/browser/long-transcript.ts";
import { startBerth } from "../e2e/harness/harness.ts";
import { ensureTestPrograms } from "../scripts/setup/test-programs.ts";
import { median, percentile, printFigures } from "./lib/figures.ts";

const frames = 600;
await ensureTestPrograms();
const berth = await startBerth({ BERTH_IDLE_SECONDS: "600" });
const browser = await openBrowser();
try {
  const client = await berth.client("bench");
  const agent = await client.createAgent("long");
  await client.runToEnd(agent.id, `demo: run ${appendEvents(10_000)}`);
  const { page } = await signIn(browser, berth, client);
  const idle = await scrollUp(page, "html", 0, frames);
  await page.goto(`/agents/${agent.id}`);
  await page.getByText("event 9999", { exact: false }).first().waitFor();
  await page.locator(".end").last().waitFor();
  for (const step of [60, 600]) await measure(page, `10,000 events, ${step} px every other frame`, step, idle.gaps);
  await openWhole(page, await fillConversation(berth, client, 10_000));
  for (const step of [60, 600]) await measure(page, `10,000 runs, ${step} px every other frame`, step, idle.gaps);
  const elements = await page.evaluate(() => document.querySelectorAll("*").length);
  printFigures([{ name: "10,000 runs: elements in the page", ours: elements, unit: "", target: { bound: 2000 } }]);
} finally {
  await browser.close();
  await berth.close();
}

function perSecond(gaps: number[]): number {
  return (1000 * gaps.length) / gaps.reduce((sum, gap) => sum + gap, 0);
}

async function measure(page: Page, name: string, step: number, idle: number[]): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Performance.enable");
  const before = await threadMs(devtools);
  const { gaps, jumps } = await scrollUp(page, ".scroller", step, frames);
  const cost = (await threadMs(devtools)) - before;
  await devtools.detach();
  const late = gaps.filter((gap) => gap > 1.5 * median(idle)).length;
  const perFrame = { unit: "ms", target: { bound: 16.7 } };
  printFigures([
    {
      name: `${name}: frames a second`,
      ours: perSecond(gaps),
      bare: perSecond(idle),
      unit: "",
      compare: "ratio",
      target: { bound: 0.95, from: "below" },
    },
    { name: `${name}: frames that came late`, ours: (100 * late) / gaps.length, unit: "%" },
    { name: `${name}: 99th percentile of a frame`, ours: percentile(gaps, 99), unit: "ms" },
    { name: `${name}: the page's thread a frame, with what measures it`, ours: cost / gaps.length / 2, ...perFrame },
    { name: `${name}: jumps of what is read`, ours: jumps.length, unit: "", target: { bound: 0 } },
  ]);
}

/** Processor time that the page's main thread has had. */
async function threadMs(devtools: CDPSession): Promise<number> {
  const { metrics } = await devtools.send("Performance.getMetrics");
  return 1000 * metrics.find(({ name }) => name === "ThreadTime")!.value;
}
