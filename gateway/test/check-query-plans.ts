/** For tests: set-up of every file of the gateway's suite on Node. */
import { afterAll } from "vitest";
import { findScans } from "./query-plans.ts";

afterAll(() => {
  const scans = findScans();
  if (scans.length > 0)
    throw new Error(`The whole of a table is read, or a list for each row of one:\n${scans.join("\n")}`);
});
