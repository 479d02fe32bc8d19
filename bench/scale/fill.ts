/**
 * A gateway's data directory with as much in it as is asked for, made by SQL in bulk before the gateway starts. Nobody is placed:
 * hosts join and report by themselves, and the gateway finds its users where their workspaces are.
 */
import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { parseSettings } from "@berth/shared/settings";
import { openData } from "../../gateway/src/node/data.ts";
import { signToken } from "../../gateway/src/keys/jwt.ts";

export interface Sizes {
  hosts: number;
  /** Users of a host, each with a workspace and an agent. */
  workspaces: number;
  /** Of all users those who have a token, and of whose agents some have work. */
  online: number;
  /** Users after those, who have a token too, and agents without work. */
  idle?: number;
  /** Users with a token and an agent and without a host. */
  newcomers: number;
  /** Runs that ended, a tenth of them of user 0, the others spread over those who are online. */
  runs: number;
  /** Runs that wait, as many of each user who is online. */
  waiting: number;
  /** Of the runs as many are older than the retention. */
  expired: number;
}

/** What the other processes read of it, as `world.json`. */
export interface World extends Sizes {
  joinTokens: string[];
  /** Tokens: of an admin, of those who are online (user 0 first) and of the idle ones after them, and of newcomers. */
  admin: string;
  tokens: string[];
  newcomerTokens: string[];
}

export type Tell = (words: string) => void;
export const userId = (at: number) => `usr_scale${at}`;
export const agentId = (at: number) => `agt_scale${at}`;
const dayMs = 24 * 3_600_000;

/** Makes the directory's database and `world.json`. */
export async function fillData(env: Record<string, string>, sizes: Sizes, tell: Tell = () => {}): Promise<World> {
  const settings = parseSettings(env);
  const dir = settings.BERTH_DATA_DIR;
  const data = await openData(settings);
  data.close();
  const db = new Sqlite(join(dir, "gateway.sqlite"));
  // Nobody else has the file yet: no log of what is written and no flush.
  for (const pragma of ["journal_mode = MEMORY", "synchronous = OFF", "cache_size = -1000000", "temp_store = MEMORY"])
    db.pragma(pragma);
  const now = Date.now();
  const joinTokens = Array.from({ length: sizes.hosts }, (_, at) => `join-${at}-${crypto.randomUUID()}`);
  const insert = db.prepare("insert into join_tokens (hash, created_at, expires_at) values (?, ?, ?)");
  db.transaction(() => {
    fillUsers(db, sizes, now);
    for (const token of joinTokens)
      insert.run(createHash("sha256").update(token).digest("hex"), iso(now), iso(now + dayMs));
  })();
  if (sizes.runs + sizes.waiting > 0) fillAllRuns(db, sizes, now, tell);
  db.close();
  // Else the gateway's own flushes wait for gigabytes of ours.
  const file = openSync(join(dir, "gateway.sqlite"), "r+");
  fsyncSync(file);
  closeSync(file);
  const sign = (name: string) =>
    signToken(
      data.keyring,
      settings.BERTH_PUBLIC_URL,
      { userId: name, tokenId: `tok_${name}`, expiresAt: Math.floor(now / 1000) + 86_400 },
      now,
    );
  const all = (count: number, nameOf: (at: number) => string) =>
    Promise.all(Array.from({ length: count }, (_, at) => sign(nameOf(at))));
  const world = {
    ...sizes,
    joinTokens,
    admin: await sign("usr_admin"),
    tokens: await all(sizes.online + (sizes.idle ?? 0), userId),
    newcomerTokens: await all(sizes.newcomers, (at) => `usr_new${at}`),
  };
  writeFileSync(join(dir, "world.json"), JSON.stringify(world));
  return world;
}

const iso = (ms: number) => new Date(ms).toISOString();
const count = `(with recursive c(i) as (select 0 union all select i + 1 from c where i + 1 < $n) select i from c where $n > 0)`;

function fillUsers(db: Sqlite.Database, sizes: Sizes, now: number): void {
  const { hosts, workspaces, online, idle = 0, newcomers } = sizes;
  const [time, later] = [iso(now - dayMs), iso(now + dayMs)];
  const user = db.prepare(`insert into users (id, name, role, created_at)
    select $prefix || i, $prefix || i, 'user', $time from ${count}`);
  const agent = db.prepare(`insert into agents (id, user_id, name, runtime, version, created_at, updated_at, env_keys)
    select $agents || i, $users || i, 'agent', 'claude', 1, $time, $time, '[]' from ${count}`);
  const token = db.prepare(`insert into tokens (id, user_id, kind, name, created_at, expires_at)
    select 'tok_' || $prefix || i, $prefix || i, 'api', 'scale', $time, $later from ${count}`);
  db.prepare("insert into users (id, name, role, created_at) values ('usr_admin', 'admin', 'admin', ?)").run(time);
  db.prepare(
    "insert into tokens (id, user_id, kind, name, created_at, expires_at) values ('tok_usr_admin', 'usr_admin', 'api', 'scale', ?, ?)",
  ).run(time, later);
  const all = Math.max(hosts * workspaces, online + idle);
  user.run({ prefix: "usr_scale", time, n: all });
  agent.run({ agents: "agt_scale", users: "usr_scale", time, n: all });
  token.run({ prefix: "usr_scale", time, later, n: online + idle });
  user.run({ prefix: "usr_new", time, n: newcomers });
  agent.run({ agents: "agt_new", users: "usr_new", time, n: newcomers });
  token.run({ prefix: "usr_new", time, later, n: newcomers });
}

/**
 * What belongs to a run row by row (its words, its day's sums, its entries in each index) is made as a whole once all are there:
 * triggers and indices are dropped before, and put back as they were.
 */
function fillAllRuns(db: Sqlite.Database, sizes: Sizes, now: number, tell: Tell): void {
  const dropped = db
    .prepare(
      "select type, name, sql from sqlite_master where tbl_name = 'runs' and type <> 'table' and sql is not null",
    )
    .all() as { type: string; name: string; sql: string }[];
  for (const { type, name } of dropped) db.exec(`drop ${type} ${name}`);
  db.transaction(() => {
    fillWaiting(db, sizes, now);
    fillRuns(db, sizes, now);
  })();
  tell("rows are there");
  db.exec(`insert into run_words (rowid, owner, prompt, result)
    select words_id, hex(user_id), substr(prompt, 1, 8192), substr(data ->> '$.result', 1, 8192) from runs order by rowid desc`);
  // So much at once leaves merges behind that a gateway in its life never has to catch up with: some hundred milliseconds a turn.
  const changes = db.prepare("select total_changes()").pluck();
  for (let before = -2; (changes.get() as number) - before >= 2;) {
    before = changes.get() as number;
    db.exec("insert into run_words (run_words, rank) values ('merge', 10000)");
  }
  tell("words are there");
  // Each has the same use, see below.
  db.exec(`insert into daily_use select user_id, substr(created_at, 1, 10), agent_id, count(*),
    sum(iif(status = 'pending', 0, 55900)), sum(iif(status = 'pending', 0, 0.12)) from runs group by 1, 2, 3`);
  for (const { sql } of dropped.toSorted((a, b) => a.type.localeCompare(b.type))) db.exec(sql);
  tell("indices are there");
}

/** Run 0 is the newest, and each row older than the one before. What has not expired is spread over the 29 days before now. */
function fillRuns(db: Sqlite.Database, { runs, online, expired }: Sizes, now: number): void {
  const step = Math.max(1, Math.floor((29 * dayMs) / Math.max(1, runs - expired)));
  db.prepare(`
    insert into runs (id, user_id, agent_id, host_id, epoch, rev, status, trigger_id, created_at, data, prompt, words_id)
    select 'run_old' || i, 'usr_scale' || user, 'agt_scale' || user, null, null, null, status, trigger,
      time, json_object('id', 'run_old' || i, 'agentId', 'agt_scale' || user, 'status', status, 'reason', reason,
        'trigger', json_object('kind', iif(trigger is null, 'api', 'webhook'), 'triggerId', trigger), 'result',
        'Changed ' || (i % 977) || ' files of module' || (i % 101) || ' and all tests pass.', 'exitCode', iif(status = 'completed', 0, 1),
        'usage', json_object('inputTokens', 12000, 'outputTokens', 900, 'cacheReadTokens', 40000, 'cacheWriteTokens', 3000, 'costUsd', 0.12),
        'oomKills', 0, 'logBytes', 54321, 'stderrTail', null, 'waitingFor', null, 'createdAt', time, 'startedAt', time, 'endedAt', time),
      'Mend bug ' || i || ' of module' || (i % 101) || ': the button does nothing on page ' || (i % 1009),
      ms * 1000000
    from (select i, ms, iif(i % 10 = 0, 0, i % $online) as user, strftime('%Y-%m-%dT%H:%M:%S.', ms / 1000, 'unixepoch') || printf('%03dZ', ms % 1000) as time,
      iif(i % 10 = 3, 'failed', 'completed') as status, iif(i % 10 = 3, 'nonzero_exit', 'completed') as reason,
      iif(i % 7 = 0, 'trg_scale' || (i % $online), null) as trigger
      from (select i, cast($now as integer) - 60000 - iif(i < $fresh, i * $step, 40 * 86400000 + (i - $fresh) * 7) as ms from ${count}))`).run(
    {
      online,
      now,
      step,
      fresh: runs - expired,
      n: runs,
    },
  );
}

/** As deliveries of webhooks, due tomorrow: before hosts have told of their users, these would be placed elsewhere. */
function fillWaiting(db: Sqlite.Database, { waiting, online }: Sizes, now: number): void {
  const values = { online, now, time: iso(now), later: iso(now + dayMs), n: waiting };
  db.prepare(`insert into deliveries (id, trigger_id, user_id, agent_id, received_at, headers, payload, bytes, run_id, due_at)
    select 'dlv_waits' || i, 'trg_scale' || (i % $online), 'usr_scale' || (i % $online), 'agt_scale' || (i % $online), $time, '{}', '', 0,
      'run_waits' || i, $later from ${count}`).run(values);
  db.prepare(`insert into runs (id, user_id, agent_id, status, trigger_id, created_at, data, prompt, words_id)
    select 'run_waits' || i, 'usr_scale' || (i % $online), 'agt_scale' || (i % $online), 'pending', 'trg_scale' || (i % $online), $time,
      json_object('id', 'run_waits' || i, 'agentId', 'agt_scale' || (i % $online), 'status', 'pending', 'reason', null,
        'trigger', json_object('kind', 'webhook', 'triggerId', 'trg_scale' || (i % $online)), 'result', null, 'exitCode', null,
        'usage', json_object('inputTokens', 0, 'outputTokens', 0, 'cacheReadTokens', 0, 'cacheWriteTokens', 0, 'costUsd', 0),
        'oomKills', 0, 'logBytes', 0, 'stderrTail', null, 'waitingFor', null, 'createdAt', $time, 'startedAt', null, 'endedAt', null),
      'Wait your turn', cast($now as integer) * 1000000 + cast($n as integer) - i from ${count}`).run(values);
}

/** What waits is due from now on. The gateway may run meanwhile. */
export function makeWaitingDue(dir: string): void {
  const db = new Sqlite(join(dir, "gateway.sqlite"), { timeout: 10_000 });
  const now = iso(Date.now());
  db.transaction(() => {
    db.prepare("update deliveries set due_at = ? where due_at is not null").run(now);
    db.prepare("update users set pending_due_at = ? where id in (select user_id from deliveries)").run(now);
  }).immediate();
  // Else the gateway's next commit copies all of it.
  db.pragma("wal_checkpoint(TRUNCATE)");
  db.close();
}
