import { readFileSync } from "node:fs";
import { AppError } from "@berth/shared/errors";
import { stackOf } from "@berth/shared/log";
import Database from "better-sqlite3";
import { expect, test } from "vitest";
import { MachineError, tellFailure } from "./machine-error.ts";
import { ProgramError } from "./programs.ts";

/** What this throws. */
function thrownBy(job: () => unknown): unknown {
  try {
    job();
  } catch (error) {
    return error;
  }
  throw new Error("it throws nothing");
}
const fullDatabase = () => {
  const db = new Database(":memory:");
  db.pragma("max_page_count = 1");
  db.exec("create table t (a)");
};

test.each([
  ["the kernel", thrownBy(() => readFileSync("/nonexistent"))],
  ["the engine", Object.assign(new Error("(HTTP code 500) server error"), { statusCode: 500 })],
  ["a program", new ProgramError("chown", 1, "Read-only file system")],
  ["a disk without room for the database", thrownBy(fullDatabase)],
  ["what did not come in time", new MachineError("the forwarder in the container did not start")],
])("what fails at %s is to be tried again", (_what, error) => {
  expect(tellFailure(error)).toMatchObject({ code: "host_unavailable", fields: { retryAfter: 2 }, cause: error });
});

test.each([
  ["a defect", thrownBy(() => (null as unknown as Error).message)],
  ["a statement that is wrong", thrownBy(() => new Database(":memory:").exec("select nothing"))],
  ["an outcome of the contract", new AppError("not_found", "There is no such agent.")],
  ["anything", "anything"],
])("%s is told as it is", (_what, error) => {
  expect(tellFailure(error)).toBeNull();
});

test("a stack says where, and nothing of what was given", () => {
  const stack = stackOf(new Error("insert into t\nparams: secret,\n    at the end"));
  expect(stack).toContain("machine-error.test.ts");
  expect(stack).not.toContain("secret");
  expect(stack).not.toContain("the end");
});
