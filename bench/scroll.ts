/**
 * Scrolling up through 10,000 messages in a real Chromium, slowly and in leaps: the frames that are drawn, against those of a page
 * that does nothing, and whether what is read moves by anything but the scrolling.
 */
import type { Page } from "playwright-core";
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
  const idle = await scroll(page, "html", 0);
  await page.goto(`/agents/${agent.id}`);
  await page.getByText("event 9999", { exact: false }).first().waitFor();
  await page.locator(".end").last().waitFor();
  for (const step of [60, 600]) {
    const { gaps, jumps } = await scroll(page, ".scroller", step);
    const late = gaps.filter((gap) => gap > 1.5 * median(idle.gaps)).length;
    const name = `${step} px a frame:`;
    printFigures([
      {
        name: `${name} frames a second`,
        ours: perSecond(gaps),
        bare: perSecond(idle.gaps),
        unit: "",
        compare: "ratio",
        target: { bound: 0.95, from: "below" },
      },
      { name: `${name} frames that came late`, ours: (100 * late) / gaps.length, unit: "%" },
      { name: `${name} 99th percentile of a frame`, ours: percentile(gaps, 99), unit: "ms" },
      { name: `${name} jumps of what is read`, ours: jumps, unit: "", target: { bound: 0 } },
    ]);
  }
} finally {
  await browser.close();
  await berth.close();
}

function perSecond(gaps: number[]): number {
  return (1000 * gaps.length) / gaps.reduce((sum, gap) => sum + gap, 0);
}

/** Milliseconds between frames, and how often what stands in the middle did not move by the step. */
function scroll(page: Page, selector: string, step: number): Promise<{ gaps: number[]; jumps: number }> {
  return page.locator(selector).evaluate(
    async (box, { step, frames }) => {
      const frame = () => new Promise<number>((resolve) => requestAnimationFrame(resolve));
      const { left, top } = box.getBoundingClientRect();
      const gaps: number[] = [];
      let jumps = 0;
      box.scrollTop = box.scrollHeight;
      let last = await frame();
      for (let at = 0; at < frames; at++) {
        if (step > 0 && box.scrollTop <= step) break;
        const read = document.elementFromPoint(left + box.clientWidth / 2, top + box.clientHeight / 2);
        const before = read?.getBoundingClientRect().top ?? 0;
        box.scrollTop -= step;
        const now = await frame();
        gaps.push(now - last);
        last = now;
        if (read?.isConnected && Math.abs(read.getBoundingClientRect().top - before - step) > 2) jumps += 1;
      }
      return { gaps, jumps };
    },
    { step, frames },
  );
}
