/** The short form of `npm run scale`: counts, and that nothing is lost; nothing is timed. */
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { expect, test } from "vitest";
import { until } from "../../gateway/test/wait.ts";
import { openScene } from "./world.ts";

const sizes = { hosts: 3, workspaces: 5, online: 6, newcomers: 1, runs: 200, waiting: 0, expired: 20 };
const busy = 2;

interface State {
  open: number;
  lost: number;
  doubled: number;
  lines: number;
}

test("hosts, their runs and open pages are all there again after the gateway was killed, and no line is lost or doubled", async () => {
  const scene = await openScene(sizes, () => {});
  const { world, gateway } = scene;
  const db = new Sqlite(join(scene.dir, "gateway.sqlite"), { readonly: true });
  const count = (query: string, ...values: unknown[]) =>
    db
      .prepare(query)
      .pluck()
      .get(...values) as number;
  const known = async () => {
    const ids = await scene.hosts<string[]>("activeIds");
    return [
      count(
        "select count(*) from runs where status = 'running' and id in (select value from json_each(?))",
        JSON.stringify(ids),
      ),
      ids.length,
    ];
  };
  try {
    await scene.hosts("open", { world, gatewayUrl: gateway.url, dir: scene.dir });
    await scene.hosts("report", { life: { busy, runMs: 60_000 }, overMs: 0 });
    expect(db.prepare("select users from hosts").pluck().all()).toEqual([5, 5, 5]);
    expect(count("select count(*) from workspaces")).toBe(15);
    await until(async () => (await known())[0] === sizes.hosts * busy, "the gateway has the runs in progress");
    const one = {
      name: "start",
      weight: 1,
      method: "POST",
      path: "/v1/agents/AGENT/runs",
      body: { prompt: "first words" },
    };
    await scene.users("inTurn", { url: gateway.url, tokens: world.newcomerTokens, one, agents: "agt_new" });

    const pages = scene.open("sockets-process.ts");
    const state = () => pages<State>("state");
    await pages("open", { url: gateway.url, tokens: world.tokens, first: 0, perSecond: 100 });
    await until(async () => (await state()).open === sizes.online, "all pages are open");
    await pages("follow", sizes.online);
    await until(async () => (await state()).lines > 0, "lines come");
    await gateway.kill();
    const { lines } = await state();
    await gateway.start();
    await scene.hosts("answered");
    await until(async () => (await state()).open === sizes.online, "all pages are open again");
    await until(async () => (await state()).lines > lines + 2 * sizes.online, "their lines go on");
    expect(await state()).toMatchObject({ lost: 0, doubled: 0 });
    let heard = 0;
    await until(async () => (heard += await scene.hosts<number>("answered")) >= sizes.hosts, "the hosts report again");
    const [held, active] = await known();
    expect([held, active]).toEqual([active, sizes.hosts * busy + 1]);
    // By the first report, and then the newcomer's: what did not change is not told.
    const { workspaces } = await scene.hosts<{ workspaces: number }>("sent");
    expect(workspaces).toBe(sizes.hosts * sizes.workspaces + 1);
    expect(count("select count(*) from runs where id like 'run_old%'")).toBe(sizes.runs - sizes.expired);
  } finally {
    db.close();
    await scene.close();
  }
});
