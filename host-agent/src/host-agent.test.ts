import { unseenAgent } from "@berth/shared/host-api";
import { parseSettings } from "@berth/shared/settings";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeContext } from "../test/context.ts";
import { inMemory } from "../test/memory.ts";
import { threeRuns } from "../test/room.ts";
import { endEarlierName, openServer } from "./host-agent.ts";
import { connectEngine } from "./machine/engine.ts";
import { Store } from "./store/store.ts";

test("the host agent's server gives an upload as long as it moves, and headers a minute", () => {
  const server = openServer(parseSettings({}), async () => undefined);
  expect(server).toMatchObject({ requestTimeout: 0, headersTimeout: 60_000 });
});

test("a host that joined anew begins nothing that it took under its earlier name, nor goes on with it", async () => {
  const dir = mkdtempSync(join(tmpdir(), "berth-earlier-"));
  // Nothing of it is left there.
  const docker = createServer((request, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(request.url === "/version" ? { ApiVersion: "1.43", MinAPIVersion: "1.24" } : []));
  }).listen(join(dir, "docker.sock"));
  await once(docker, "listening");
  const engine = await connectEngine(`unix://${dir}/docker.sock`);
  const store = new Store(inMemory(), Date.now);
  const context = makeContext(dir);
  store.setMeta("host_id", "hst_earlier");
  for (const id of ["agt_a", "agt_b"]) {
    store.learnAgent("usr_a", { ...unseenAgent(id), version: 1, name: id }, null);
    const trigger = { kind: "api", triggerId: null } as const;
    const run = {
      id: `run_${id}`,
      agentId: id,
      userId: "usr_a",
      trigger,
      prompt: "hi",
      attachments: [],
      payload: null,
    };
    store.admit(run, threeRuns, false);
  }
  store.updateRun("run_agt_b", { status: "running", startedAt: context.clock.iso(), startedMark: "" });
  await endEarlierName({ context, store, engine });
  await endEarlierName({ context, store, engine });
  expect(store.activeRuns().map(({ id, intent }) => [id, intent])).toEqual([
    ["run_agt_a", "host_lost"],
    ["run_agt_b", "host_lost"],
  ]);
  expect(store.getMeta("host_id")).toBe(context.hostId);
  store.close();
  docker.close();
  rmSync(dir, { recursive: true });
});
