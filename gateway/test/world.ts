/** For tests: a database with as much in it as is asked for, and one host, one admin and one agent of the admin's in the midst of it. */
import { sql, type SQL } from "drizzle-orm";
import { createTestApp, type TestApp } from "./app.ts";
import { idleLoad, joinTestHost, makeRun, type TestHost } from "./host.ts";

/** What there is beside the admin; each can grow by itself. */
export interface Sizes {
  /** Other hosts, all live. */
  hosts: number;
  /** Users on the admin's host, each with a workspace and an agent. */
  neighbours: number;
  /** Users elsewhere, half of them without a host; each with a run in progress. */
  strangers: number;
  /** The admin's runs that ended, deliveries and entries of the audit. */
  history: number;
  /** Runs of a stranger that are older than the retention, with their deliveries. */
  expired: number;
  /** The admin's runs that wait, none of which is due. */
  waiting: number;
  /** Users of a host that is down, each with a run that is due. */
  stalled: number;
  /** The admin's other agents and tokens, and triggers of the one agent. */
  belongings: number;
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
  triggerId: string;
  secret: string;
  /** Somebody without a host, with an agent. */
  newcomer: { token: string; agentId: string };
  call(method: string, path: string, body?: unknown): Promise<unknown>;
  /**
   * All hosts but the one that is down have just reported, and all users but the admin have just been placed: however long a busy
   * machine took, they are live, and to come.
   */
  hear(): Promise<unknown>;
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
  const trigger = { name: "t", scheme: "token", template: "x" };
  const { id: triggerId, secret } = (await call("POST", `/v1/agents/${agentId}/triggers`, trigger)) as Record<
    "id" | "secret",
    string
  >;
  const { token } = await gateway.addUser("newcomer");
  const made = await gateway.call("POST", "/v1/agents", { token, body: { name: "n" } });
  await gateway.deps.atomic([
    ...fillNeighbourhood(gateway, host.id, sizes),
    ...fillOwn(gateway, { userId: admin.id, agentId, triggerId, hostId: host.id }, sizes),
  ]);
  return {
    gateway,
    host,
    sizes,
    admin,
    agentId,
    triggerId,
    secret,
    newcomer: { token, agentId: made.json().id },
    call,
    hear() {
      const now = new Date(gateway.deps.now()).toISOString();
      return gateway.deps.atomic([
        sql`update hosts set last_report_at = ${now} where id <> 'hst_down'`,
        sql`update users set placed_at = ${now} where placed_at is not null and id <> ${admin.id}`,
      ]);
    },
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

/** The rows of others, made by the database itself. `i` counts them. */
function fillNeighbourhood(gateway: TestApp, hostId: string, sizes: Sizes): SQL[] {
  const time = new Date(gateway.deps.now()).toISOString();
  const load = JSON.stringify({ ...idleLoad, memoryAvailableBytes: 2 ** 40 });
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
    sql`insert into hosts (id, name, url, public_key, created_at, last_report_at, load)
      values ('hst_down', 'down', 'http://127.0.0.1:9', '{}', ${time}, '2020', ${load})`,
    sql`insert into users (id, name, role, host_id, created_at, pending_due_at)
      select 'usr_stalled' || i, 'stalled' || i, 'user', 'hst_down', ${time}, '2020' from ${count(sizes.stalled)}`,
    sql`insert into deliveries (id, trigger_id, user_id, agent_id, received_at, headers, payload, bytes, due_at)
      select 'dlv_stalled' || i, 'trg_far', 'usr_stalled' || i, 'agt', ${time}, '{}', '', 0, '2020'
      from ${count(sizes.stalled)}`,
    sql`insert into runs (id, user_id, agent_id, status, created_at, data)
      select 'run_expired' || i, 'usr_far0', 'agt_far0', 'completed', '2020', '{}' from ${count(sizes.expired)}`,
    sql`insert into deliveries (id, trigger_id, user_id, agent_id, received_at, headers, payload, bytes, run_id)
      select 'dlv_expired' || i, 'trg_far', 'usr_far0', 'agt_far0', '2020', '{}', '', 0, 'run_expired' || i
      from ${count(sizes.expired)}`,
    sql`insert into runs (id, user_id, agent_id, host_id, epoch, rev, status, created_at, data)
      select 'run_far' || i, 'usr_far' || i, 'agt_far' || i, 'hst_far' || (i % ${sizes.hosts}), 'epoch1', 1, 'running',
        ${time}, '{}' from ${count(sizes.strangers)}`,
  ];
}

interface Own {
  userId: string;
  agentId: string;
  triggerId: string;
  hostId: string;
}

/** The rows of the admin. */
function fillOwn(gateway: TestApp, { userId, agentId, triggerId, hostId }: Own, sizes: Sizes): SQL[] {
  const at = sql`strftime('%Y-%m-%dT%H:%M:%fZ', ${gateway.deps.now() / 1000} - 1 - i, 'unixepoch')`;
  const later = new Date(gateway.deps.now() + 3_600_000).toISOString();
  const {
    userId: _userId,
    rev: _rev,
    ...run
  } = makeRun({
    id: "",
    userId,
    agentId,
    rev: 1,
    trigger: { kind: "webhook", triggerId },
  });
  return [
    sql`insert into runs (id, user_id, agent_id, host_id, epoch, rev, status, trigger_id, created_at, data)
      select 'run_old' || i, ${userId}, ${agentId}, ${hostId}, 'epoch1', 1, 'completed', ${triggerId}, ${at},
        json_set(${JSON.stringify(run)}, '$.id', 'run_old' || i, '$.status', 'completed') from ${count(sizes.history)}`,
    sql`insert into deliveries (id, trigger_id, user_id, agent_id, received_at, headers, payload, bytes, run_id)
      select 'dlv_old' || i, ${triggerId}, ${userId}, ${agentId}, ${at}, '{}', '', 0, 'run_old' || i from ${count(sizes.history)}`,
    sql`insert into deliveries (id, trigger_id, user_id, agent_id, received_at, headers, payload, bytes, due_at)
      select 'dlv_waits' || i, ${triggerId}, ${userId}, ${agentId}, '2021', '{}', '', 0, '9999' from ${count(sizes.waiting)}`,
    sql`update users set pending_due_at = '9999' where id = ${userId}`,
    sql`insert into audit (id, created_at, actor_kind, actor_id, actor_name, action, target_id, outcome, detail)
      select 'aud_old' || i, ${at}, 'user', ${userId}, 'admin', 'agent.updated', ${agentId}, 'succeeded', '{}'
      from ${count(sizes.history)}`,
    sql`insert into agents (id, user_id, name, runtime, version, created_at, updated_at, env_keys)
      select 'agt_own' || i, ${userId}, 'own' || i, 'shell', 1, ${at}, ${at}, '[]' from ${count(sizes.belongings)}`,
    sql`insert into tokens (id, user_id, kind, name, created_at, expires_at)
      select 'tok_own' || i, ${userId}, 'api', 'own', ${at}, ${later} from ${count(sizes.belongings)}`,
    sql`insert into triggers (id, user_id, agent_id, name, scheme, template, secret, created_at, updated_at)
      select 'trg_own' || i, ${userId}, ${agentId}, 'own', 'token', 'x', (select secret from triggers where id = ${triggerId}), ${at}, ${at}
      from ${count(sizes.belongings)}`,
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
