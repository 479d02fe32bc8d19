/** For code that must not take longer than its input is long: on inputs where anything worse would go on for hours. */
import { createContext, runInContext } from "node:vm";

/** Answers what `work` does; throws where it has not ended in a minute, as a test's own deadline cannot: nothing is waited for. */
export function finish<T>(work: () => T): T {
  return runInContext("work()", createContext({ work }), { timeout: 60_000 }) as T;
}
