/**
 * The databases of all schedules: one real one in memory for all schedules, emptied by a rollback. A process that
 * dies loses what it had not committed, and no more. Older copies are rows.
 */
import Sqlite from "better-sqlite3";
import { Dead, hasWorld, mark, type Side, world } from "../world/world.ts";

type Row = Record<string, unknown>;
export type Copy = Map<string, Row[]>;

export class SharedDatabase {
  readonly real: Sqlite.Database;
  /** Its disk has no room: nothing can be changed. */
  isFull = false;
  readonly #prepared = new Map<string, Sqlite.Statement>();
  /** As it is on disk where power goes; null while all that was committed is. */
  #onDisk: Copy | null = null;

  constructor(real = new Sqlite(":memory:")) {
    this.real = real;
  }

  /** Kept for all schedules and processes: preparing is a third of all work. */
  prepare(text: string): Sqlite.Statement {
    const known = this.#prepared.get(text) ?? this.real.prepare(text);
    this.#prepared.set(text, known);
    return known;
  }

  /** But for the full-text index, which triggers fill as its rows come back. */
  tables(): string[] {
    const rows = this.prepare(
      `select name from sqlite_master where type = 'table' and name not like 'sqlite_%'
        and name not in (select name from pragma_table_list where type in ('virtual', 'shadow'))`,
    ).all() as Row[];
    return rows.map(({ name }) => String(name));
  }

  /** As new, with its tables and what a migration put into them: by what its values are sealed. */
  empty(): void {
    this.isFull = false;
    for (const table of this.tables())
      this.real.exec(`delete from "${table}" ${table === "meta" ? "where key <> 'key'" : ""}`);
  }

  copy(tables = this.tables()): Copy {
    return new Map(tables.map((table) => [table, this.prepare(`select * from "${table}"`).all() as Row[]]));
  }

  restore(copy: Copy): void {
    for (const [table, rows] of copy) {
      this.prepare(`delete from "${table}"`).run();
      for (const row of rows) {
        const names = Object.keys(row);
        this.prepare(`insert into "${table}" (${names.join(", ")}) values (${names.map(() => "?").join(", ")})`).run(
          ...Object.values(row),
        );
      }
    }
  }

  /** From here on commits are not synced. */
  beginUnsynced(): void {
    this.#onDisk ??= this.copy();
  }

  /** All that was committed is on disk. */
  sync(): void {
    this.#onDisk = null;
  }

  /** Power goes: what was not synced may be lost. */
  crash(): void {
    if (this.#onDisk) this.restore(this.#onDisk);
    this.#onDisk = null;
  }

  /** Whatever was written since `begin` goes with `end`. */
  begin(): void {
    this.#onDisk = null;
    this.real.exec("begin");
  }

  end(): void {
    this.real.exec("rollback");
  }
}

/** A connection of one process. */
export class Connection {
  readonly #shared: SharedDatabase;
  readonly #side: Side;
  #isSynced = true;
  #isInside = false;

  constructor(shared: SharedDatabase, side: Side) {
    this.#shared = shared;
    this.#side = side;
  }

  prepare(text: string): Statement {
    const isChange = /^\s*(INSERT|UPDATE|DELETE)/i.test(text);
    return new Statement(this.#shared.prepare(text), (name) => {
      this.#call(`${name} ${text.slice(0, 30)}`);
      if (isChange && this.#shared.isFull && hasWorld()) throw noRoom();
      if (isChange && !this.#isInside) this.#shared.sync();
    });
  }

  exec(text: string): void {
    this.#call("exec");
    this.#shared.real.exec(text);
  }

  /** What they set does not matter in memory, but for what a power cut may take; what they ask does. */
  pragma(text: string, options?: Sqlite.PragmaOptions): unknown {
    if (text.startsWith("synchronous = ")) this.#isSynced = text.endsWith("FULL");
    if (!this.#isSynced) this.#shared.beginUnsynced();
    return text.includes("=") ? [] : this.#shared.real.pragma(text, options);
  }

  /** Killed before the end, nothing of it was done. */
  transaction<A extends unknown[], T>(work: (...values: A) => T) {
    const inner = (...values: A) => {
      this.#call("begin");
      const done = this.#within(() => work(...values));
      this.#call("commit");
      if (this.#isSynced) this.#shared.sync();
      return done;
    };
    return this.#shared.real.transaction(inner);
  }

  #within<T>(work: () => T): T {
    this.#isInside = true;
    try {
      return work();
    } finally {
      this.#isInside = false;
    }
  }

  close(): void {}

  get inTransaction(): boolean {
    return this.#shared.real.inTransaction;
  }

  #call(name: string): void {
    if (!hasWorld()) return;
    if (this.#side.isDead) throw new Dead();
    world().sync(`store.${name}`);
  }
}

const noRoom = () => Object.assign(new Error(`database or disk is full ${mark}`), { code: "SQLITE_FULL" });

class Statement {
  readonly #real: Sqlite.Statement;
  readonly #call: (name: string) => void;

  constructor(real: Sqlite.Statement, call: (name: string) => void) {
    this.#real = real;
    this.#call = call;
  }

  pluck(isOn = true): this {
    this.#real.pluck(isOn);
    return this;
  }

  run(...values: unknown[]): unknown {
    this.#call("run");
    return this.#real.run(...values);
  }

  get(...values: unknown[]): unknown {
    this.#call("get");
    return this.#real.get(...values);
  }

  all(...values: unknown[]): unknown[] {
    this.#call("all");
    return this.#real.all(...values);
  }

  iterate(...values: unknown[]): IterableIterator<unknown> {
    this.#call("iterate");
    return this.#real.all(...values)[Symbol.iterator]();
  }
}
