import { expect, test } from "vitest";
import { makeContext } from "../../test/context.ts";
import { UnendedError } from "../machine/processes.ts";
import { giveUpUnended } from "./unended.ts";

test("a container that is taken up with a process which cannot be ended goes, and an admin is told again after a restart", async () => {
  const context = makeContext("/nonexistent");
  const removed: string[] = [];
  const engine = { removeContainer: (id: string) => Promise.resolve(void removed.push(id)) };
  const other = new Error("the engine hangs");
  await expect(giveUpUnended({ context, engine }, "usr_a", "c1", other)).rejects.toBe(other);
  expect([removed, context.alerts.list()]).toEqual([[], []]);
  const unended = new UnendedError("it goes on");
  await expect(giveUpUnended({ context, engine }, "usr_a", "c1", unended)).rejects.toBe(unended);
  expect(removed).toEqual(["c1"]);
  expect(context.alerts.list()).toMatchObject([{ kind: "unended", userId: "usr_a", count: 1 }]);
});
