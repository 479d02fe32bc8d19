/** For tests: the D1 of an app in workerd, seen from Node, with as much of its interface as Drizzle and we use. */
import type { D1, D1Result, D1Statement } from "../../src/worker/data.ts";
import type { SqlCall } from "./worker.ts";

/** `url` is the app's own. */
export function openRemoteD1(url: string): D1 {
  async function call<T>(body: SqlCall): Promise<T> {
    const answer = await fetch(`${url}/~sql`, { method: "POST", body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(await answer.text());
    return (await answer.json()) as T;
  }
  const prepare = (sql: string, params: unknown[] = []): Prepared => {
    const one = { sql, params };
    const all = () => call<D1Result>({ method: "all", statements: [one] });
    return {
      one,
      bind: (...values) => prepare(sql, values),
      all,
      run: all,
      raw: () => call({ method: "raw", statements: [one] }),
      first: async () => (await all()).results?.[0] ?? null,
    };
  };
  return {
    prepare,
    batch: (statements) => call({ method: "batch", statements: (statements as Prepared[]).map(({ one }) => one) }),
  };
}

interface Prepared extends D1Statement {
  one: { sql: string; params: unknown[] };
  all(): Promise<D1Result>;
  run(): Promise<D1Result>;
  raw(): Promise<unknown[][]>;
  first(): Promise<unknown>;
}
