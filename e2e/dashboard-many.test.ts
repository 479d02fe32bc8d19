/** A conversation of ten thousand messages: what of it is in the page, and that what is read stays where it is. */
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import type { Agent } from "@berth/shared/resources";
import { fillConversation, openWhole, scrollUp } from "./browser/many-messages.ts";
import { noteTasks } from "./browser/browser.ts";
import { eventually, lastEnd, send, serveDashboard } from "./browser/dashboard.ts";

const { world, meet } = serveDashboard();
const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

const countElements = (page: Page) => page.evaluate(() => document.querySelectorAll("*").length);
const message = (page: Page, nth: number) =>
  page.locator(".run").filter({ has: page.getByText(`message ${nth}`, { exact: true }) });
/** How far the first message in view stands below the upper edge, by its id. */
const readNow = (page: Page) =>
  page.locator(".scroller").evaluate((box) => {
    const edge = box.getBoundingClientRect().top;
    const one = [...box.querySelectorAll(".run")].find((run) => run.getBoundingClientRect().bottom > edge + 20)!;
    return { id: one.id, fromTop: one.getBoundingClientRect().top - edge };
  });

/**
 * How many messages near the view have not been told yet that no host has their log: each then grows by a line that says so. The newest
 * is real.
 */
const countUntold = (page: Page) =>
  page.locator(".scroller").evaluate((box) => {
    const { top, bottom } = box.getBoundingClientRect();
    const isNear = (run: Element) => {
      const place = run.getBoundingClientRect();
      return place.bottom > top - 1000 && place.top < bottom + 1000;
    };
    const isTold = (run: Element) => run.querySelector(".item.note") ?? run.textContent.includes("echo the newest");
    return [...box.querySelectorAll(".run")].filter((run) => isNear(run) && !isTold(run)).length;
  });

/** Scrolls there, and waits until what is there is drawn, and has the height that it keeps. */
async function leapTo(page: Page, part: number) {
  await page.locator(".scroller").evaluate((box, to) => (box.scrollTop = box.scrollHeight * to), part);
  let last = "";
  await eventually(async () => {
    const { fromTop, id } = await readNow(page);
    const [before, now] = [last, `${id} ${fromTop}`];
    last = now;
    return Math.abs(fromTop) < 800 && before === now && (await countUntold(page)) === 0;
  }).toBe(true);
  return readNow(page);
}

async function fill(count: number, options = {}): Promise<{ page: Page; agent: Agent }> {
  const { page, client } = await meet(options);
  const agent = await fillConversation(world.berth, client, count);
  await openWhole(page, agent);
  return { page, agent };
}

test("four times the messages are not four times the elements, nor is one scrolled by a long task", async () => {
  const { page: few } = await fill(2500);
  const { page: many } = await fill(10_000);
  const [ofFew, ofMany] = [await countElements(few), await countElements(many)];
  expect(ofMany - ofFew).toBeLessThan(7500 / 40);
  const longestTask = await noteTasks(world.browser, many);
  await scrollUp(many, ".scroller", 600, 60);
  expect(await longestTask()).toBeLessThan(200);
  expect(await countElements(many)).toBeLessThan(ofMany + 500);
});

test.each([
  ["a desk", {}],
  ["a phone", phone],
])("what is read moves by what is scrolled and nothing else, on %s, also after leaps", async (_, options) => {
  const { page } = await fill(2500, options);
  const scroller = page.locator(".scroller");
  expect((await scrollUp(page, ".scroller", 60, 120)).jumps).toEqual([]);
  expect((await scrollUp(page, ".scroller", 600, 60)).jumps).toEqual([]);
  await scroller.focus();
  for (const part of [0.7, 0.3, 0.5]) {
    const { id, fromTop } = await leapTo(page, part);
    const edge = await scroller.evaluate((box) => box.getBoundingClientRect().top);
    await page.keyboard.press("PageUp");
    const height = await scroller.evaluate((box) => box.clientHeight);
    const moved = () =>
      page.locator(`[id="${id}"]`).evaluate((run, to) => run.getBoundingClientRect().top - to, edge + fromTop);
    // A browser's page is seven eighths of the view.
    await eventually(async () => Math.abs((await moved()) - 0.875 * height)).toBeLessThan(3);
  }
  await page.keyboard.press("Home");
  await eventually(async () => (await message(page, 0).boundingBox())?.y).toBeGreaterThan(0);
  await page.keyboard.press("End");
  const fromEnd = () => scroller.evaluate((box) => box.scrollHeight - box.clientHeight - box.scrollTop);
  await eventually(fromEnd).toBeLessThan(2);
  await page.locator(".run").last().getByText("echo the newest").waitFor();
});

test("who scrolls up in the moment in which a line comes has left the end, and comes back to it", async () => {
  const { page, client } = await meet();
  const agent = await client.createAgent("talkative", { runtime: "shell" });
  await page.goto(`/agents/${agent.id}`);
  await send(page, "while echo a line; do sleep 0.01; done");
  const scroller = page.locator(".scroller");
  const lines = () => scroller.evaluate((box) => box.textContent.split("a line").length);
  const fromEnd = () => scroller.evaluate((box) => box.scrollHeight - box.clientHeight - box.scrollTop);
  await eventually(lines).toBeGreaterThan(200);
  await scroller.evaluate(
    (box) =>
      new Promise<void>((resolve) => {
        const observer = new MutationObserver(() => {
          observer.disconnect();
          box.scrollTop -= 1000;
          resolve();
        });
        observer.observe(box, { childList: true, characterData: true, subtree: true });
      }),
  );
  const back = page.getByRole("button", { name: "Jump to the newest line" });
  await back.waitFor();
  const count = await lines();
  await eventually(lines).toBeGreaterThan(count + 200);
  expect(await fromEnd()).toBeGreaterThan(1000);
  await back.click();
  await eventually(fromEnd).toBeLessThan(60);
  await page.getByRole("button", { name: "Stop" }).first().click();
  await lastEnd(page).waitFor();
});

test("what is read stays where it is on the screen while a warning comes above it, and goes", async () => {
  const { page } = await fill(200);
  const { id } = await leapTo(page, 0.5);
  const [read, box] = [page.locator(`[id="${id}"]`), page.locator(".scroller")];
  const topOf = async (one: typeof read) => (await one.boundingBox())!.y;
  const [readAt, boxAt] = [await topOf(read), await topOf(box)];
  await world.berth.host.kill();
  await page.getByText("Not connected.").waitFor();
  expect(await topOf(box)).toBeGreaterThan(boxAt + 20);
  expect(await topOf(read)).toBeCloseTo(readAt, 0);
  await world.berth.host.start();
  await page.getByText("Not connected.").waitFor({ state: "detached" });
  expect(await topOf(box)).toBe(boxAt);
  expect(await topOf(read)).toBeCloseTo(readAt, 0);
});

test("a link leads to its message among all, and what a person has to do with stays drawn, and found text is", async () => {
  const { page, agent } = await fill(2500);
  const scrollTo = (part: number) =>
    page.locator(".scroller").evaluate((box, to) => (box.scrollTop = box.scrollHeight * to), part);
  await scrollTo(0);
  const id = await message(page, 3).getAttribute("id");
  await message(page, 3).getByText("message 3", { exact: true }).click();
  await scrollTo(0.5);
  await eventually(() => message(page, 4).count()).toBe(0);
  expect(await message(page, 3).count()).toBe(1);
  await page.goto(`/agents/${agent.id}?run=${id}`);
  await eventually(() => page.evaluate(() => document.activeElement?.id)).toBe(id);
  await eventually(async () => (await readNow(page)).id).toBe(id);
  await scrollTo(1);
  await eventually(() => message(page, 4).count()).toBe(0);
  expect(await page.evaluate(() => document.activeElement?.id)).toBe(id);
  await page
    .locator(".far", { hasText: "message 1200" })
    .evaluate((far) => far.dispatchEvent(new Event("beforematch", { bubbles: true })));
  await message(page, 1200).waitFor({ state: "attached" });
});
