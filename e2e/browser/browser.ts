/** A person at the dashboard: a real browser, signed in, with everything noted that should not happen in it. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { browserPath } from "../../scripts/setup/test-programs.ts";
import type { Client } from "../harness/client.ts";
import { patienceMs } from "../../gateway/test/wait.ts";
import { type Berth } from "../harness/harness.ts";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export interface Person {
  page: Page;
  /** Errors of the page, refusals of its policy, dialogs, and calls to anywhere else: none is expected. */
  mishaps: string[];
  close(): Promise<void>;
}

export function openBrowser(): Promise<Browser> {
  const args = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"];
  return chromium.launch({ executablePath: browserPath, args });
}

/** What moves without end is drawn by the processor, sixty times a second: a test that wants it says so. */
const usual: BrowserContextOptions = { viewport: { width: 1280, height: 800 }, reducedMotion: "reduce" };

/** A browser window of nobody yet. */
export async function openWindow(browser: Browser, berth: Berth, options: BrowserContextOptions = {}): Promise<Person> {
  const context = await browser.newContext({ baseURL: berth.url, ...usual, ...options });
  context.setDefaultTimeout(patienceMs);
  const page = await context.newPage();
  const close = async () => {
    // What a route is about to answer just then is nobody's any more.
    if (!page.isClosed()) await page.unrouteAll({ behavior: "ignoreErrors" });
    await context.close();
  };
  return { page, mishaps: noteMishaps(page, berth.url), close };
}

/** A window of the client's user, signed in by its token. */
export async function signIn(
  browser: Browser,
  berth: Berth,
  { token }: Client,
  options?: BrowserContextOptions,
): Promise<Person> {
  const person = await openWindow(browser, berth, options);
  const headers = { origin: berth.url };
  const answer = await person.page.request.post("/session", { headers, data: { token } });
  if (!answer.ok()) throw new Error(`sign-in answered ${answer.status()}: ${await answer.text()}`);
  await person.page.goto("/");
  await person.page.locator("section.bar").waitFor();
  return person;
}

/** Path and fragment of a sign-in link for the user. */
export function linkOf(berth: Berth, user: string): string {
  const { pathname, hash } = new URL(berth.cli("link", user));
  return pathname + hash;
}

/** What axe finds wrong with the page now, by WCAG A and AA and its good practices: rule and element. */
export async function findBarriers(page: Page): Promise<string[]> {
  // Half a megabyte of program: a page that has it keeps it.
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations } = await (
      globalThis as unknown as {
        axe: { run(): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }> };
      }
    ).axe.run();
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary.replaceAll("\n", " ")}`),
    );
  });
}

interface TraceEvent {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  /** Microseconds that the thread had, whatever else the machine did. */
  tdur?: number;
  args: { name?: string };
}

/** Notes what the page's main thread does from now on; the answer stops that and tells its longest task, in milliseconds. */
export async function noteTasks(browser: Browser, page: Page): Promise<() => Promise<number>> {
  await browser.startTracing(page, { categories: ["toplevel", "__metadata"] });
  return async () => {
    const { traceEvents } = JSON.parse(String(await browser.stopTracing())) as { traceEvents: TraceEvent[] };
    const keyOf = ({ pid, tid }: TraceEvent) => `${pid}:${tid}`;
    const mains = new Set(
      traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain").map(keyOf),
    );
    const tasks = traceEvents.filter(
      (event) => event.ph === "X" && event.name.endsWith("RunTask") && mains.has(keyOf(event)),
    );
    if (!tasks.some(({ tdur }) => tdur)) throw new Error("the trace has no tasks");
    return Math.max(...tasks.map(({ tdur = 0 }) => tdur)) / 1000;
  };
}

function noteMishaps(page: Page, url: string): string[] {
  const mishaps: string[] = [];
  // What a break of the connection says is no fault of the page.
  const isBreak = /Failed to load resource|WebSocket connection to|net::ERR_/;
  page.on("console", (message) => {
    if (message.type() === "error" && !isBreak.test(message.text())) mishaps.push(message.text());
  });
  page.on("pageerror", (error) => mishaps.push(String(error)));
  page.on("dialog", (dialog) => {
    mishaps.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    if (
      !request
        .url()
        .replace(/^blob:/, "")
        .startsWith(url)
    )
      mishaps.push(`call to ${request.url()}`);
  });
  return mishaps;
}
