/** A newcomer's way in the real browser, from the printed link to a merged change, as README and docs/first-task.md tell it: each step timed. */
import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { forgeToken, forgeUser } from "../host-agent/test/forge.ts";
import { startTlsServers, tlsHosts, type TlsServers } from "../host-agent/test/tls-servers.ts";
import { findBarriers, linkOf, openBrowser, openWindow } from "./browser/browser.ts";
import { lastEnd, send } from "./browser/dashboard.ts";
import { type Berth, startBerth } from "./harness/harness.ts";

let servers: TlsServers;
let berth: Berth;
let browser: Browser;
beforeAll(async () => {
  [servers, browser] = await Promise.all([startTlsServers(), openBrowser()]);
  berth = await startBerth({
    TLS_PORTS: `${servers.httpsPort},${servers.httpPort}`,
    NODE_EXTRA_CA_CERTS: servers.caPath,
  });
  await berth.host.kill("SIGTERM");
  await berth.host.start({}, join(import.meta.dirname, "hosts/egress-host.ts"));
});
afterAll(async () => {
  await browser?.close();
  await berth?.close();
  await servers?.close();
});

test("a newcomer gets from the sign-in link to a merged change, without a shell of their own", async () => {
  const { forge } = tlsHosts;
  const repository = join(dirname(servers.caPath), "forge/team/app.git");
  const { page, mishaps } = await openWindow(browser, berth);
  const steps: [step: string, seconds: number][] = [];
  const step = async (name: string, act: () => Promise<unknown>) => {
    const began = performance.now();
    await act();
    steps.push([name, (performance.now() - began) / 1000]);
  };
  const link = linkOf(berth, "newcomer");
  await step("sign in by the link", async () => {
    await page.goto(link);
    await page.locator("section.first h1").waitFor();
  });
  await step("connect the forge", async () => {
    await page.getByRole("link", { name: "Credentials" }).click();
    const form = page.locator("form.keep").first();
    await form.getByLabel("Host").fill(forge);
    await form.getByLabel("Username").fill(forgeUser);
    await form.getByLabel("Access token").fill(forgeToken);
    await form.getByRole("button", { name: "Save the credential" }).click();
    await page.getByRole("cell", { name: forge, exact: true }).waitFor();
  });
  await step("make an agent of the repository", async () => {
    await page.getByRole("link", { name: "Berth", exact: true }).click();
    const form = page.locator("main form.new-agent");
    await form.getByLabel("Name of a new agent").fill("first");
    await form.getByLabel("Repository to clone").fill(`https://${forge}/team/app.git`);
    await form.getByRole("button", { name: "Create" }).click();
    await page.getByLabel(/^Message to first/).waitFor();
    await page.getByRole("button", { name: "Open a pull request" }).waitFor();
  });
  await step("ask for a change and see it pushed", async () => {
    await send(
      page,
      "demo: run git checkout -q -b mend && echo mended >mended.txt && git add . && git commit -q -m 'Mend it' && git push -q origin mend && git log --oneline -1",
    );
    await lastEnd(page).getByText("Finished").waitFor();
    await page.locator(".tool").last().waitFor();
  });
  await step("open the pull request", async () => {
    await page.getByRole("button", { name: "Open a pull request" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Title").fill("Mend it");
    await dialog.getByLabel("Target branch").fill("main");
    expect(await findBarriers(page)).toEqual([]);
    await dialog.getByRole("button", { name: "Open it" }).click();
    await dialog.getByRole("link", { name: `https://${forge}/team/app/pulls/1` }).waitFor();
    expect(servers.forge.pulls.map(({ title, head, base }) => [title, head, base])).toEqual([
      ["Mend it", "mend", "main"],
    ]);
    await dialog.getByRole("button", { name: "Close" }).click();
  });
  await step("review and merge", async () => {
    execFileSync("git", ["-C", repository, "update-ref", "refs/heads/main", "refs/heads/mend"]);
  });
  expect(execFileSync("git", ["-C", repository, "show", "main:mended.txt"], { encoding: "utf8" })).toBe("mended\n");
  expect(mishaps).toEqual([]);
  const total = steps.reduce((sum, [, seconds]) => sum + seconds, 0);
  for (const [name, seconds] of [...steps, ["in all", total] as const])
    process.stdout.write(`walk: ${name}: ${seconds.toFixed(1)} s\n`);
});
