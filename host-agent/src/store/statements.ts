/** SQL on an open database: each statement is prepared once, and a change is one statement or one transaction. */
import { withFixedPlan } from "@berth/shared/node/fixed-plan";
import type Database from "better-sqlite3";

export class Statements {
  readonly #db: Database.Database;
  readonly #prepared = new Map<string, Database.Statement>();
  /** Made once: to make one costs more than most transactions. */
  readonly #transaction: Database.Transaction<(work: () => unknown) => unknown>;

  constructor(db: Database.Database) {
    this.#db = db;
    this.#transaction = db.transaction((work) => work());
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

  atomic<T>(work: () => T): T {
    return this.#transaction.immediate(work) as T;
  }

  close(): void {
    this.#db.close();
  }
}

/** As all times are stored; `ms` since 1970. */
export const isoTime = (ms: number) => new Date(ms).toISOString();
