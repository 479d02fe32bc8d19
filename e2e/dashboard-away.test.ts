/** What a page could not load, or was not told, comes by itself. */
import { describe, expect, test } from "vitest";
import { linkOf } from "./browser/browser.ts";
import { eventually, lastEnd, serveDashboard } from "./browser/dashboard.ts";

const { world, meet, stranger } = serveDashboard();

describe("what could not be loaded", () => {
  test("comes by itself once it can be: a list, and a page whose script an upgrade has replaced", async () => {
    const { page } = await meet();
    await page.route("**/v1/tokens?*", (route) => route.abort());
    await page.goto("/tokens");
    await page.getByRole("alert").getByText("The gateway isn't responding.").waitFor();
    await page.unroute("**/v1/tokens?*");
    await page.locator("table.list tbody tr").first().waitFor();
    await page.getByRole("alert").waitFor({ state: "detached" });
    // Also one that was loaded anew by hand before.
    await page.reload();
    let refused = 0;
    await page.route("**/assets/use*.js", (route) =>
      refused++ === 0 ? route.fulfill({ status: 404 }) : route.continue(),
    );
    await page.getByRole("link", { name: "Usage" }).click();
    await page.getByRole("heading", { name: "Usage" }).waitFor();
    expect(refused).toBe(2);
    // Once: where that did not help, it says what does.
    await page.route("**/assets/account*.js", (route) => route.fulfill({ status: 404 }));
    await page.getByRole("link", { name: "Account" }).click();
    await page.getByRole("alert").getByText("Berth was updated. Reload the page.").waitFor();
  });

  test("comes by itself once it can be: the agents, and a conversation, which until then does not claim to be new", async () => {
    const { page, client } = await meet();
    const agent = await client.createAgent("quiet", { runtime: "shell" });
    await client.runToEnd(agent.id, "echo here");
    const [agents, runs] = [/\/v1\/agents\?/, /\/v1\/runs\?/];
    for (const calls of [agents, runs]) await page.route(calls, (route) => route.abort());
    const failed = page.waitForEvent("requestfailed", (request) => agents.test(request.url()));
    await page.goto(`/agents/${agent.id}`);
    await failed;
    await page.unroute(agents);
    await page.getByRole("alert").getByText("The gateway isn't responding.").waitFor();
    await page.locator("nav.agents").getByText("quiet").waitFor();
    expect(await page.locator(".empty").count()).toBe(0);
    await page.unroute(runs);
    await page.locator(".output").getByText("here").waitFor();
  });
});

describe("a page without its gateway or its user", () => {
  test("takes a sign-in link that is opened in it, and comes back by itself", async () => {
    const { name } = await meet();
    const page = await stranger();
    await page.route("**/session", (route) => route.abort());
    await page.goto("/");
    await page.getByText("The gateway isn't responding").waitFor();
    await page.unroute("**/session");
    await page.getByLabel("Sign in with an API token").waitFor();
    await page.goto(linkOf(world.berth, name));
    await page.getByRole("region", { name: "Workspace" }).waitFor();
    expect(page.url()).not.toContain("code=");
  });
});

test("what becomes of a message that waits shows, whoever ends it; told aloud is the run that goes on", async () => {
  const { page, client } = await meet();
  const agent = await client.createAgent("waiting", { runtime: "shell" });
  const run = await client.send(agent.id, "echo up; exec sleep 600");
  await client.firstLine(run.id);
  const message = { prompt: "echo never", ifBusy: "queue" };
  const { id } = await client.ok<{ id: string }>("POST", `/v1/agents/${agent.id}/runs`, message);
  await page.goto(`/agents/${agent.id}`);
  await page.locator(".run").last().getByText("It starts when its agent is done").waitFor();
  await eventually(() => page.locator(".conversation > [role=status]").textContent()).toMatch(/^Running/);
  await client.ok("POST", `/v1/runs/${id}/cancel`);
  await lastEnd(page).getByText("Stopped", { exact: true }).waitFor();
  await page.locator(".run").first().locator(".end.going").getByText("Running").waitFor();
});
