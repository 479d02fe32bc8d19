import { AppError } from "@berth/shared/errors";
import { expect, test } from "vitest";
import { UnsentError } from "../deps.ts";
import { hostUnavailable, isUncertain } from "./call.ts";

test("a host may have what it was asked for where it said nothing definite, or has it with another message", () => {
  expect(isUncertain(hostUnavailable(new Error("read ECONNRESET")))).toBe(true);
  expect(isUncertain(hostUnavailable(new UnsentError("connect ECONNREFUSED")))).toBe(false);
  // Its own word, of a workspace that cannot be had now: what is asked meanwhile with the same id may be admitted.
  expect(isUncertain(new AppError("host_unavailable", "-"))).toBe(true);
  expect(isUncertain(new AppError("internal", "-"))).toBe(true);
  expect(isUncertain(new AppError("conflict", "-", { runId: "run_1" }))).toBe(true);
  for (const code of ["conflict", "agent_busy", "run_limit", "no_host", "not_found"] as const)
    expect([code, isUncertain(new AppError(code, "-"))]).toEqual([code, false]);
});
