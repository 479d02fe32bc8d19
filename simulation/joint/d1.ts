/**
 * The gateway's database, spoken to as D1 is: each statement is a call that takes a while, may fail, and may be the last of its
 * process. Below it is one real SQLite in memory for all schedules, with the real migrations and what a schedule begins with.
 */
import { withFixedPlan } from "@berth/shared/node/fixed-plan";
import Sqlite from "better-sqlite3";
import { drizzle } from "drizzle-orm/better-sqlite3";
import { migrate } from "drizzle-orm/better-sqlite3/migrator";
import { fileURLToPath } from "node:url";
import { type D1, type D1Result, type D1Statement, openD1 } from "../../gateway/src/worker/data.ts";
import { type Copy, SharedDatabase } from "../machine/database.ts";
import { hasWorld, mark, never, world } from "../world/world.ts";

const migrations = fileURLToPath(new URL("../../migrations", import.meta.url));
/** Appended only, and nothing here reads it. */
const leftOut = ["audit", "__drizzle_migrations"];

/** What the rules of the database tell: an end that was told already, and what it is now. */
export type Changed = Record<"runId" | "from" | "to", string>;

export class GatewayDatabase {
  readonly shared = new SharedDatabase(new Sqlite(":memory:"));
  /** One for all processes: it knows nothing, and its queries are prepared once. */
  readonly opened: ReturnType<typeof openD1>;
  /** Whether a statement takes a while, as on D1, or is done at once, as on Node. */
  isSlow = true;
  /** Counts down with each call; the process that makes the last one dies there. */
  fuse: number | null = null;
  onChanged: (changed: Changed) => void = () => undefined;
  /** Since when, in virtual time, whose runs may not be started. */
  readonly disabledSince = new Map<string, number>();

  constructor() {
    const { real } = this.shared;
    migrate(drizzle(real), { migrationsFolder: migrations });
    // An older copy is put back table by table.
    real.pragma("foreign_keys = OFF");
    real.function("random", () =>
      hasWorld()
        ? world()
            .draws("sql")
            .whole(0, 2 ** 31)
        : 0,
    );
    real.function("note_changed", (runId: string, from: string, to: string) => {
      this.onChanged({ runId, from, to });
      return null;
    });
    const ended = "('completed', 'failed', 'cancelled')";
    const told = (row: string) =>
      `${row}.status || ' ' || coalesce(${row}.data ->> '$.reason', '') || ' ' || coalesce(${row}.data ->> '$.exitCode', '')`;
    real.exec(`create temp trigger run_changed after update on main.runs when old.status in ${ended}
      and ${told("old")} <> ${told("new")} begin select note_changed(new.id, ${told("old")}, ${told("new")}); end`);
    real.function("note_disabled", (userId: string, isDisabled: number) => {
      this.#noteDisabled(userId, isDisabled === 1);
      return null;
    });
    real.exec(`create temp trigger user_changed after update on main.users when old.disabled <> new.disabled
      begin select note_disabled(new.id, new.disabled); end`);
    this.opened = openD1(this.#d1());
  }

  /** For a schedule that begins. */
  begin(isSlow: boolean): void {
    [this.isSlow, this.fuse] = [isSlow, null];
    this.disabledSince.clear();
    this.shared.begin();
  }

  #noteDisabled(userId: string, isDisabled: boolean): void {
    if (isDisabled) this.disabledSince.set(userId, world().nowMs);
    else this.disabledSince.delete(userId);
  }

  /** Rows of a query of the judges', who call nobody. */
  rows<Row>(text: string, ...values: unknown[]): Row[] {
    const statement = this.shared.prepare(text);
    if (statement.reader) return statement.raw(false).all(...values) as Row[];
    statement.run(...values);
    return [];
  }

  copy(): Copy {
    const tables = this.shared.tables().filter((table) => !leftOut.includes(table));
    return this.shared.copy([...tables, "sqlite_sequence"]);
  }

  restore(copy: Copy): void {
    const { onChanged } = this;
    this.onChanged = () => undefined;
    this.shared.restore(copy);
    this.onChanged = onChanged;
    this.disabledSince.clear();
    for (const { id } of this.rows<{ id: string }>("select id from users where disabled")) this.#noteDisabled(id, true);
  }

  #d1(): D1 {
    const carryOut = ({ sql, values }: Known & { values: unknown[] }) => ({
      results: this.rows<Record<string, unknown>>(sql, ...values),
    });
    const bind = (known: Known, values: unknown[]): Prepared => {
      const all = () => this.#call(known.name, () => carryOut({ ...known, values }));
      const raw = () =>
        this.#call(
          known.name,
          () =>
            this.shared
              .prepare(known.sql)
              .raw(true)
              .all(...values) as unknown[][],
        );
      const first = async () => (await all()).results[0] ?? null;
      return { ...known, values, bind: (...bound) => bind(known, bound), all, run: all, raw, first };
    };
    const apply = this.shared.real.transaction((statements: Prepared[]) => statements.map(carryOut));
    return {
      prepare: (sql) => bind(this.#know(sql), []),
      batch: (statements) =>
        this.#call(`batch ${(statements[0] as Prepared).name}`, () => apply(statements as Prepared[])),
    };
  }

  readonly #known = new Map<string, Known>();
  #know(text: string): Known {
    const known = this.#known.get(text) ?? { name: nameOf(text), sql: withFixedPlan(text) };
    this.#known.set(text, known);
    return known;
  }

  #call<T>(name: string, work: () => T): Promise<T> {
    if (!hasWorld()) return Promise.resolve(work());
    const here = world();
    const side = here.current;
    if (side.isDead) return never();
    const isLast = this.fuse !== null && --this.fuse <= 0;
    if (isLast) this.fuse = null;
    if (isLast && here.draws("fuse").is(0.5)) {
      here.kill(side);
      return never();
    }
    const done = () => {
      const outcome = work();
      if (isLast) here.kill(side);
      return outcome;
    };
    if (this.isSlow) return here.io(`db.${name}`, done).then((outcome) => (side.isDead ? never() : outcome));
    here.sync(`db.${name}`);
    if (here.isStruck(`db.${name}`, here.draws(`db.${name}`)))
      return Promise.reject(new Error(`database is locked ${mark}`));
    const outcome = done();
    return side.isDead ? never() : Promise.resolve(outcome);
  }
}

interface Known {
  name: string;
  sql: string;
}
interface Prepared extends D1Statement, Known {
  values: unknown[];
  all(): Promise<Required<D1Result>>;
  run(): Promise<D1Result>;
  raw(): Promise<unknown[][]>;
  first(): Promise<unknown>;
}

/** What it does to which table. */
const nameOf = (sql: string) =>
  /^\s*(insert into|update|delete from|select|with)\s+"?(\w+)?/i.exec(sql)?.slice(1).join(" ").toLowerCase() ?? "other";
