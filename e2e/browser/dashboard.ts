/** What all suites of the dashboard share: a Berth, a browser, people before it, and what they do again and again. */
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { openBrowser, openWindow, type Person, signIn } from "./browser.ts";
import { patienceMs } from "../../gateway/test/wait.ts";
import { type Berth, startBerth } from "../harness/harness.ts";

/** Serves a Berth with these settings to this file's tests; whatever goes wrong in a window fails the test that opened it. */
export function serveDashboard(settings: () => Promise<Record<string, string>> = async () => ({})) {
  const people: Person[] = [];
  const world = {} as { berth: Berth; browser: Browser };
  let count = 0;
  beforeAll(async () => {
    const start = async () => startBerth({ BERTH_IDLE_SECONDS: "5", ...(await settings()) });
    [world.berth, world.browser] = await Promise.all([start(), openBrowser()]);
  });
  afterEach(async () => {
    const mishaps = people.flatMap((person) => person.mishaps);
    await Promise.all(people.splice(0).map((person) => person.close()));
    if (mishaps.length > 0) throw new Error(`The page had mishaps: ${mishaps.join("\n")}`);
  });
  afterAll(async () => {
    await world.browser?.close();
    await world.berth?.close();
  });
  return {
    world,
    /** A new user in a window of their own, with a client of the API. */
    async meet({ admin = false, ...options }: BrowserContextOptions & { admin?: boolean } = {}) {
      const name = `user${++count}`;
      const client = await world.berth.client(name, { admin });
      const person = await signIn(world.browser, world.berth, client, options);
      people.push(person);
      return { name, page: person.page, client };
    },
    /** A window of nobody. */
    async stranger(options?: Parameters<typeof openWindow>[2]) {
      const person = await openWindow(world.browser, world.berth, options);
      people.push(person);
      return person.page;
    },
  };
}

export async function send(page: Page, text: string): Promise<void> {
  await page.getByLabel(/^Message to/).fill(text);
  await page.keyboard.press("Enter");
}

/** As `expect`, once it holds. */
// oxlint-disable-next-line vitest/require-awaited-expect-poll -- whoever calls it does
export const eventually = (read: () => unknown) => expect.poll(read, { timeout: patienceMs });

/** The last line of the newest run, once it has ended. */
export const lastEnd = (page: Page) => page.locator(".run").last().locator(".end:not(.going)");

/** A script of numbered lines, and that the newest run shows all of them once, in order. */
export const counting = (last: number, pause: number) =>
  `for i in $(seq ${last}); do echo "line $i"; sleep ${pause}; done`;
export const seeLines = (page: Page, last: number) =>
  eventually(() => linesOf(page)).toEqual(Array.from({ length: last }, (_, at) => at + 1));
async function linesOf(page: Page): Promise<number[]> {
  const texts = await page.locator(".run").last().locator(".output").allTextContents();
  return texts.flatMap((text) => [...text.matchAll(/^line (\d+)$/gm)].map((found) => Number(found[1])));
}
