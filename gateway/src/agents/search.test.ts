import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { answerJson, joinTestHost, makeRun, type TestHost } from "../../test/host.ts";
import { until } from "../../test/wait.ts";

let gateway: TestApp;
let host: TestHost;
beforeAll(async () => {
  gateway = await createTestApp();
  host = await joinTestHost(gateway);
});
afterAll(async () => {
  await host.close();
  await gateway.close();
});

/** A user whose runs are told by the host, the first of them the oldest. */
async function userWith(...told: { prompt: string; result?: string | null; createdAt?: string }[]) {
  const user = await gateway.addUser(crypto.randomUUID());
  const call = (path: string, body?: object) =>
    gateway.call(body ? "POST" : "GET", path, { token: user.token, ...(body && { body }) });
  const { id: agentId } = (await call("/v1/agents", { name: "a" })).json();
  await call(`/v1/agents/${agentId}/runs`, { prompt: "placed" });
  const of = { userId: user.id, agentId, status: "completed", reason: "completed" } as const;
  const runs = told.map((one, at) =>
    makeRun({
      ...of,
      id: `run_${crypto.randomUUID()}`,
      rev: ++host.rev,
      createdAt: `2026-11-01T00:00:00.${`${at}`.padStart(3, "0")}Z`,
      ...one,
    }),
  );
  await host.report({ runs, rev: host.rev });
  const find = async (q: string, more = "") => {
    const answer = await gateway.call("GET", `/v1/search?q=${encodeURIComponent(q)}${more}`, { token: user.token });
    expect(answer.status).toBe(200);
    return answer.json() as { items: { id: string; prompt: string }[]; nextCursor: string | null };
  };
  const prompts = async (q: string) => (await find(q)).items.map(({ prompt }) => prompt);
  return { ...user, agentId, runs, call, find, prompts };
}

describe("search", () => {
  test("finds runs by words of prompt and result, all of them, newest first, whatever their case", async () => {
    const { prompts } = await userWith(
      { prompt: "Mend the parser", result: "It read one byte too many" },
      { prompt: "Look at the parser again" },
      { prompt: "parse nothing", result: "the PARSERS are gone" },
    );
    expect(await prompts("parser")).toEqual(["parse nothing", "Look at the parser again", "Mend the parser"]);
    expect(await prompts("bytes parser")).toEqual([]);
    expect(await prompts("PARSER byte")).toEqual(["Mend the parser"]);
    expect(await prompts("nowhere")).toEqual([]);
  });

  test("finds Korean words of two syllables and more, with the particles that follow them", async () => {
    const { prompts } = await userWith(
      { prompt: "배포를 자동으로 해 줘" },
      { prompt: "Docker로 테스트", result: "배포했습니다. 로그는 아래에 있습니다." },
    );
    expect(await prompts("배포")).toEqual(["Docker로 테스트", "배포를 자동으로 해 줘"]);
    expect(await prompts("배포 자동")).toEqual(["배포를 자동으로 해 줘"]);
    expect(await prompts("docker 로그")).toEqual(["Docker로 테스트"]);
    expect(await prompts("줘")).toEqual(["배포를 자동으로 해 줘"]);
    // As a Mac spells it.
    expect(await prompts("배포했습니다".normalize("NFD"))).toEqual(["Docker로 테스트"]);
  });

  test("finds a run from its start on, and by its new words once it is reworded or ends", async () => {
    const user = await userWith();
    const send = async (prompt: string) =>
      (await user.call(`/v1/agents/${user.agentId}/runs`, { prompt, ifBusy: "queue" })).json();
    expect(await user.prompts("placed")).toEqual(["placed"]);
    const busy = {
      type: "about:blank",
      title: "Busy",
      status: 409,
      code: "agent_busy",
      detail: "Busy.",
      requestId: "x",
    };
    host.handle = (_, response) => answerJson(response, 409, busy);
    const waiting = await send("walrus");
    expect(await user.prompts("walrus")).toEqual(["walrus"]);
    const reword = { token: user.token, body: { prompt: "otter" } };
    // Not while the host is being asked.
    await until(async () => (await gateway.call("PATCH", `/v1/runs/${waiting.id}`, reword)).status === 200, "reworded");
    host.handle = undefined;
    expect([await user.prompts("walrus"), await user.prompts("otter")]).toEqual([[], ["otter"]]);
    const ended = makeRun({ ...host.runs.get((await user.find("placed")).items[0]!.id)!, rev: ++host.rev });
    await host.report({
      runs: [{ ...ended, status: "completed", reason: "completed", result: "moored" }],
      rev: host.rev,
    });
    expect(await user.prompts("moored")).toEqual(["placed"]);
  });

  test("gives all in pages, once each, also those of one moment", async () => {
    const at = "2026-11-02T00:00:00.000Z";
    const { find, runs } = await userWith(
      ...Array.from({ length: 7 }, (_, nth) => ({
        prompt: `heron ${nth}`,
        ...(nth > 1 && nth < 5 && { createdAt: at }),
      })),
    );
    const seen: string[] = [];
    for (let cursor = ""; ;) {
      const page = await find("heron", `&limit=2${cursor}`);
      seen.push(...page.items.map(({ id }) => id));
      if (page.nextCursor === null) break;
      cursor = `&cursor=${page.nextCursor}`;
    }
    expect(seen.toSorted()).toEqual(runs.map(({ id }) => id).toSorted());
  });

  test("finds nobody else's runs", async () => {
    const [one, other] = [await userWith({ prompt: "secret heron" }), await userWith({ prompt: "heron" })];
    expect(await other.prompts("secret")).toEqual([]);
    expect(await one.prompts("secret")).toEqual(["secret heron"]);
    for (const q of [one.id, `owner:${one.id}`, Buffer.from(one.id).toString("hex")])
      expect(await other.prompts(q)).toEqual([]);
  });

  test.each([
    "",
    "  ",
    "!!!",
    '"',
    '"unclosed',
    "heron AND",
    "NOT heron",
    "heron OR",
    "NEAR(a b)",
    "prompt:x",
    "{prompt result}",
    "(heron",
    "a* ^b -c",
    "\0",
    "heron\0'; drop table runs",
    "' or 1=1 --",
    "\u0301",
    "🙂",
    "a".repeat(200),
    "w ".repeat(100),
  ])("takes %j for words, whatever it would mean to the index", async (q) => {
    const { find } = await userWith({ prompt: "nothing" });
    expect((await find(q)).items).toEqual([]);
  });

  test("refuses what is longer than 200 characters, and a cursor that is not ours", async () => {
    const { call } = await userWith();
    for (const query of [`q=${"a".repeat(201)}`, "q=heron&cursor=x", ""])
      expect((await call(`/v1/search?${query}`)).json().code).toBe("invalid_request");
  });

  test("forgets the words of a run with its row", async () => {
    const { find, id } = await userWith({ prompt: "ancient heron" });
    const entries = async () =>
      (await gateway.deps.db.all<{ n: number }>(sql`select count(*) as n from run_words_docsize`))[0]!.n;
    const before = await entries();
    await gateway.deps.atomic([sql`delete from runs where user_id = ${id} returning id`]);
    expect((await find("heron")).items).toEqual([]);
    expect(await entries()).toBe(before - 2);
  });
});
