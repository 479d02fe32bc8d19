/** For tests: an app in the project's workerd, on a D1 of its own. */
import { createLog } from "@berth/shared/log";
import { parseSettings, type Environment } from "@berth/shared/settings";
import { readdirSync, readFileSync } from "node:fs";
import { webDigests } from "../../src/keys/digests.ts";
import { createSigningJwk, importKeyring } from "../../src/keys/keyring.ts";
import { openD1, type D1 } from "../../src/worker/data.ts";
import { scansIn } from "../plan-rules.ts";
import type { Runtime, TestClock } from "../runtime.ts";
import { openRemoteD1 } from "./remote-d1.ts";
import type { Plan, TestCall } from "./worker.ts";

const migrations = new URL("../../../migrations/", import.meta.url);
/** What fetch would not send, or the runtime replaces on the way. */
const unsendable = /^(host|origin|cookie|upgrade|sec-.*|cf-.*)$/;

/** Opens an app with these settings; the test's clock goes along with each call. */
export async function openOnWorkerd(workerd: string, environment: Environment, clock: TestClock): Promise<Runtime> {
  const jwk = await createSigningJwk();
  const settings = parseSettings(environment);
  const given = { BERTH_PUBLIC_URL: settings.BERTH_PUBLIC_URL, ...environment, BERTH_SIGNING_KEY: JSON.stringify(jwk) };
  const opened = await fetch(`${workerd}/~open`, { method: "POST", body: JSON.stringify(given) });
  if (!opened.ok) throw new Error(await opened.text());
  const url = `${workerd}/~${(await opened.json()) as string}`;
  const d1 = openRemoteD1(url);
  if (opened.headers.get("berth-test-empty") !== "true") await migrate(d1);
  const lines: string[] = [];
  let statements = 0;
  let rows = 0;
  const note = ({ headers }: Response) => {
    lines.push(...(JSON.parse(decodeURIComponent(headers.get("berth-test-lines") ?? "%5B%5D")) as string[]));
    statements += Number(headers.get("berth-test-statements") ?? 0);
    rows += Number(headers.get("berth-test-rows") ?? 0);
  };
  let isOpen = true;
  return {
    dir: "",
    deps: {
      settings,
      ...openD1(d1),
      keyring: await importKeyring([jwk]),
      digests: webDigests,
      transport: { fetch: fetchHeld },
      uses: new Map(),
      log: createLog((line) => lines.push(line)),
      now: () => Date.now() + clock.skewMs,
    },
    lines,
    async request(path, init = {}) {
      const headers = new Headers(init.headers);
      const told: TestCall = { skewMs: clock.skewMs, headers: {} };
      for (const [name, value] of [...headers].filter(([name]) => unsendable.test(name))) {
        told.headers[name] = value;
        headers.delete(name);
      }
      headers.set("berth-test", JSON.stringify(told));
      const response = await fetch(url + path, { ...init, headers, redirect: "manual" });
      note(response);
      return response;
    },
    async tick() {
      const ticked = await fetch(`${url}.${clock.skewMs}/~cron`, { method: "POST" });
      if (!ticked.ok) throw new Error(await ticked.text());
      note(ticked);
    },
    statements: () => statements,
    rowsRead: () => rows,
    async listen() {
      return {
        get url() {
          return `${url}.${clock.skewMs}`;
        },
        port: Number(new URL(url).port),
        close: async () => {},
      };
    },
    async close() {
      if (!isOpen) return;
      isOpen = false;
      const scans = await findScans(url);
      const isEmpty = await empty(d1);
      await fetch(`${url}/~close`, { method: "POST", body: JSON.stringify(isEmpty) });
      if (scans.length > 0) throw new Error(`D1 reads the whole of a table:\n${scans.join("\n")}`);
    },
  };
}

/** The very files that `wrangler d1 migrations apply` takes, in one batch. */
async function migrate(d1: D1): Promise<void> {
  const files = readdirSync(migrations)
    .filter((name) => name.endsWith(".sql"))
    .toSorted();
  const statements = files.flatMap((name) =>
    readFileSync(new URL(name, migrations), "utf8").split("--> statement-breakpoint"),
  );
  await d1.batch(statements.map((sql) => d1.prepare(sql)));
  migrated ??= JSON.stringify(await schemaOf(d1));
}

/** What the migrations make: the same on each D1. */
let migrated: string | undefined;

/** What is wrong with how D1 runs the statements of all apps of this workerd that nobody has asked it for yet. */
async function findScans(url: string): Promise<string[]> {
  const asked = await fetch(`${url}/~plans`);
  if (!asked.ok) throw new Error(await asked.text());
  return ((await asked.json()) as Plan[]).flatMap(({ source, steps }) => scansIn(source, steps));
}

/**
 * Nothing is left for the next app on this D1; whether it is as the migrations left it: rows go in a third of the time that tables
 * come and go in. Where a test has changed the tables, they go.
 */
async function empty(d1: D1): Promise<boolean> {
  const rows = await schemaOf(d1);
  const of = (...types: string[]) => rows.filter(({ type }) => types.includes(type));
  const isMigrated = JSON.stringify(rows) === migrated;
  const all = (sql: (row: SchemaRow) => string, ...types: string[]) => of(...types).map((row) => d1.prepare(sql(row)));
  await d1.batch([
    d1.prepare("pragma defer_foreign_keys = on"),
    // Some keep rows, others write them.
    ...all(({ name }) => `drop trigger "${name}"`, "trigger"),
    ...(isMigrated
      ? [
          ...all(({ name }) => `insert into "${name}"("${name}") values ('delete-all')`, "virtual"),
          ...all(({ name }) => `delete from "${name}"`, "table"),
          d1.prepare("delete from sqlite_sequence"),
          ...all(({ sql }) => sql, "trigger"),
        ]
      : // A virtual table goes with the tables behind it.
        all(({ name }) => `drop table "${name}"`, "virtual", "table")),
  ]);
  return isMigrated;
}

interface SchemaRow {
  type: string;
  name: string;
  sql: string;
}

async function schemaOf(d1: D1): Promise<SchemaRow[]> {
  const [{ results } = {}] = await d1.batch([
    d1.prepare(
      `select coalesce(l.type, m.type) as type, m.name, m.sql from sqlite_schema m left join pragma_table_list l on m.type = 'table' and l.schema = 'main' and l.name = m.name
       where m.name not like 'sqlite_%' and m.name not like '\\_cf\\_%' escape '\\' and coalesce(l.type, '') <> 'shadow' order by m.name`,
    ),
  ]);
  return (results ?? []) as unknown as SchemaRow[];
}

const held = new Set<Request>();

/** As `fetch`, and the request stays in memory until it is answered: Node forgets the signal of one that is collected. */
async function fetchHeld(request: Request): Promise<Response> {
  held.add(request);
  try {
    return await fetch(request);
  } finally {
    held.delete(request);
  }
}
