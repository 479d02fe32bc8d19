/** For tests: a database with as much in it as is asked for, and one host, one admin and one agent of the admin's in the midst of it. */
import { sql, type SQL } from "drizzle-orm";
import { createTestApp, type TestApp } from "./app.ts";
import { joinTestHost, makeRun, type TestHost } from "./host.ts";

/** What there is beside the admin; each can grow by itself. */
export interface Sizes {
  /** Other hosts, all live. */
  hosts: number;
  /** Users on the admin's host, each with a workspace and an agent. */
  neighbours: number;
  /** Users elsewhere, half of them without a host; each with a run in progress. */
  strangers: number;
  /** Deleted agents of one neighbour, which the host has not dropped yet. */
  tombstones: number;
  /** Workspaces, runs and agents in a report: as many of each. */
  entries: number;
}

export interface World {
  gateway: TestApp;
  host: TestHost;
  sizes: Sizes;
  admin: Awaited<ReturnType<TestApp["addUser"]>>;
  agentId: string;
  call(method: string, path: string, body?: unknown): Promise<unknown>;
  close(): Promise<void>;
}

export async function openWorld(sizes: Sizes): Promise<World> {
  const gateway = await createTestApp({ BERTH_MAX_AGENTS: "1000" });
  const host = await joinTestHost(gateway);
  const admin = await gateway.addUser("admin", "admin");
  const call = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const answer = await gateway.call(method, path, { token: admin.token, body });
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.text}`);
    return answer.text === "" ? null : answer.json();
  };
  const { id: agentId } = (await call("POST", "/v1/agents", { name: "a" })) as { id: string };
  await call("POST", `/v1/agents/${agentId}/runs`, { prompt: "hello" });
  await gateway.deps.atomic(fill(gateway, host.id, sizes));
  return {
    gateway,
    host,
    sizes,
    admin,
    agentId,
    call,
    async close() {
      await host.close();
      await gateway.close();
    },
  };
}

/** A report that tells of as many workspaces, runs and agents of the neighbours. */
export function tellEntries({ host, sizes }: World) {
  const each = Array.from({ length: sizes.entries }, (_, at) => at % sizes.neighbours);
  const rev = (host.rev += sizes.entries);
  const of = (at: number) => ({ userId: `usr_near${at}`, agentId: `agt_near${at}` });
  return {
    rev,
    complete: true,
    workspaces: each.map((at) => ({ ...workspace, hostId: host.id, userId: of(at).userId })),
    runs: each.map((at, entry) => makeRun({ id: `run_told${rev}_${entry}`, rev, ...of(at) })),
    agents: each.map((at) => ({ id: of(at).agentId, userId: of(at).userId, envKeys: ["A"], rev })),
  };
}

/** The rows, made by the database itself. `i` counts them. */
function fill(gateway: TestApp, hostId: string, sizes: Sizes): SQL[] {
  const time = new Date(gateway.deps.now()).toISOString();
  const load = JSON.stringify({ workspaces: 0, maxWorkspaces: 200, memoryAvailableBytes: 2 ** 40 });
  return [
    sql`insert into hosts (id, name, url, public_key, created_at, last_report_at, load)
      select 'hst_far' || i, 'far', 'http://127.0.0.1:9', '{}', ${time}, ${time}, ${load} from ${count(sizes.hosts)}`,
    sql`insert into users (id, name, role, host_id, placed_at, created_at)
      select 'usr_near' || i, 'near' || i, 'user', ${hostId}, ${time}, ${time} from ${count(sizes.neighbours)}`,
    sql`insert into users (id, name, role, host_id, placed_at, created_at)
      select 'usr_far' || i, 'far' || i, 'user', iif(i % 2, 'hst_far' || (i % ${sizes.hosts}), null), ${time}, ${time}
      from ${count(sizes.strangers)}`,
    sql`insert into workspaces (user_id, host_id, data)
      select 'usr_near' || i, ${hostId}, ${JSON.stringify(workspace)} from ${count(sizes.neighbours)}`,
    sql`insert into agents (id, user_id, name, runtime, version, created_at, updated_at, env_keys)
      select 'agt_near' || i, 'usr_near' || i, 'a', 'shell', 1, ${time}, ${time}, '[]' from ${count(sizes.neighbours)}`,
    sql`insert into agents (id, user_id, name, runtime, version, created_at, updated_at, deleted_at, env_keys)
      select 'agt_gone' || i, 'usr_near0', 'a', 'shell', 1, ${time}, ${time}, ${time}, '[]' from ${count(sizes.tombstones)}`,
    sql`insert into runs (id, user_id, agent_id, host_id, epoch, rev, status, created_at, data)
      select 'run_far' || i, 'usr_far' || i, 'agt_far' || i, 'hst_far' || (i % ${sizes.hosts}), 'epoch1', 1, 'running',
        ${time}, '{}' from ${count(sizes.strangers)}`,
  ];
}

const count = (size: number) =>
  sql`(with recursive counted(i) as (select 0 union all select i + 1 from counted where i + 1 < ${size}) select i from counted)`;

const workspace = {
  status: "running" as const,
  hostId: null,
  containerId: "c",
  memory: { usedBytes: 0, limitBytes: 0, warnBytes: 0, warning: false },
  cpu: { percent: 0, cores: 1 },
  pids: { current: 0, limit: 1 },
  disk: { usedBytes: 0, limitBytes: 0 },
  connections: 0,
  activeRuns: 0,
  startedAt: null,
  sampledAt: null,
  reason: null,
};
