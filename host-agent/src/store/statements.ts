/** SQL on an open database: each statement is prepared once, and a change is one statement or one transaction. */
import { withFixedPlan } from "@berth/shared/node/fixed-plan";
import type Database from "better-sqlite3";
import type { OpenDatabase, WriteAheadLog } from "./open.ts";

export class Statements {
  readonly #db: Database.Database;
  readonly #log: WriteAheadLog | undefined;
  readonly #prepared = new Map<string, Database.Statement>();
  /** Made once: to make one costs more than most transactions. */
  readonly #transaction: Database.Transaction<(work: () => unknown) => unknown>;
  #isInside = false;
  #isUnsynced = false;
  /** The sync that has begun, and the one that begins after it, which all share who ask meanwhile. */
  #syncing: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor({ db, log }: Pick<OpenDatabase, "db" | "log">) {
    this.#db = db;
    this.#log = log;
    this.#transaction = db.transaction((work) => {
      this.#isInside = true;
      return work();
    });
  }

  sql(text: string): Database.Statement {
    let statement = this.#prepared.get(text);
    if (!statement) this.#prepared.set(text, (statement = this.#db.prepare(withFixedPlan(text))));
    return statement;
  }

  /** The rows of a query, or those that a change returned: all of them, for after the first alone a failing commit would go unseen. */
  rows<Row>(text: string, ...values: unknown[]): Row[] {
    return this.sql(text).all(...values) as Row[];
  }

  /** Adds a row, by its columns. */
  insert(table: string, row: Record<string, unknown>): void {
    const columns = Object.keys(row);
    const sql = `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`;
    this.sql(sql).run(...Object.values(row));
  }

  /** All of it or nothing; inside of another it is a part of that. */
  atomic<T>(work: () => T): T {
    if (this.#isInside) return work();
    try {
      return this.#transaction.immediate(work) as T;
    } finally {
      this.#isInside = false;
    }
  }

  /**
   * The same, and nobody waits for the disk: until `synced` resolves a power cut may take it back, with all that came after it;
   * the end of this process takes back nothing.
   */
  atomicUnsynced<T>(work: () => T): T {
    if (this.#isInside) return work();
    this.#db.pragma("synchronous = NORMAL");
    try {
      return this.atomic(work);
    } finally {
      this.#isUnsynced = true;
      this.#db.pragma("synchronous = FULL");
    }
  }

  /** Group commit: resolves once all that was committed before is on disk. */
  synced(): Promise<void> {
    if (this.#next) return this.#next;
    if (!this.#isUnsynced) return this.#syncing ?? Promise.resolve();
    const begin = async () => {
      await this.#syncing?.catch(() => undefined);
      [this.#syncing, this.#next, this.#isUnsynced] = [this.#next, null, false];
      try {
        await this.#log?.sync();
      } catch (error) {
        this.#isUnsynced = true;
        throw error;
      }
    };
    return (this.#next = begin());
  }

  close(): void {
    void this.#log?.close();
    this.#db.close();
  }
}

/** As all times are stored; `ms` since 1970. */
export const isoTime = (ms: number) => new Date(ms).toISOString();
