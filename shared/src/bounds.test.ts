/** Each bound of the contract: what it takes, to the last character, and what it does not. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { z } from "zod";
import { filePath, terminalFrame } from "./files.ts";
import { clientFrame, createAgentBody, createRunBody, envBody, idempotencyKey } from "./resources.ts";
import { id } from "./values.ts";
import { createTriggerBody, rotateBody } from "./webhooks.ts";

const x = (length: number) => "x".repeat(Math.max(0, length));
/** Values of which one JSON text is so long in all. */
const envOf = (length: number) => {
  const env: Record<string, string> = { A: x(32_000), B: x(32_000), C: x(32_000), D: x(32_000), E: "" };
  return { ...env, E: x(length - JSON.stringify(env).length) };
};

const bounds: [what: string, least: number, most: number, of: (size: number) => unknown, schema: z.ZodType][] = [
  ["characters of an id", 1, 40, x, id],
  ["characters of an Idempotency-Key", 1, 255, x, idempotencyKey],
  ["characters of an agent's name", 1, 64, (size) => ({ name: ` ${x(size)} ` }), createAgentBody],
  ["characters of instructions", 0, 65_536, (size) => ({ name: "a", instructions: x(size) }), createAgentBody],
  ["characters of a model's name", 1, 100, (size) => ({ name: "a", model: x(size) }), createAgentBody],
  ["characters of a variable's name", 1, 128, (size) => ({ [x(size)]: "" }), envBody],
  ["characters of a variable", 0, 32_768, (size) => ({ A: x(size) }), envBody],
  ["variables", 0, 100, (size) => Object.fromEntries(Array.from(x(size), (_, at) => [`A${at}`, ""])), envBody],
  ["bytes of all variables", 128_100, 131_072, envOf, envBody],
  ["characters of a prompt", 1, Infinity, (size) => ({ prompt: x(size) }), createRunBody],
  [
    "characters of a template",
    1,
    16_384,
    (size) => ({ name: "a", scheme: "token", template: x(size) }),
    createTriggerBody,
  ],
  ["seconds of grace", 0, 604_800, (graceSeconds) => ({ graceSeconds }), rotateBody],
  ["bytes of a path", 0, 4096, x, filePath],
  ["columns", 1, 1000, (cols) => ({ type: "resize", cols, rows: 1 }), terminalFrame],
  ["rows", 1, 1000, (rows) => ({ type: "resize", cols: 1, rows }), terminalFrame],
  [
    "bytes of an offset",
    0,
    Number.MAX_SAFE_INTEGER,
    (after) => ({ type: "subscribe", runId: "r", after }),
    clientFrame,
  ],
];

test.each(bounds)("of %s there are %i to %d, and none beyond", (what, least, most, of, schema) => {
  const near = [least, most].flatMap((bound) => [-4, -3, -2, -1, 0, 1, 2, 3, 4].map((off) => bound + off));
  for (const size of near.filter((one) => Number.isFinite(one) && (one >= 0 || what.startsWith("seconds")))) {
    // Around what JSON takes beside the values nothing is refused yet.
    const isTaken = size <= most && (size >= least || what === "bytes of all variables");
    expect([size, schema.safeParse(of(size)).success]).toEqual([size, isTaken]);
  }
});

describe("offsets", () => {
  test("beyond 2 GiB are taken as they are", () => {
    for (const after of [2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 40 + 1])
      expect(clientFrame.parse({ type: "subscribe", runId: "run_1", after }).after).toBe(after);
  });

  test.each([-1, 0.5, Number.MAX_SAFE_INTEGER + 1, NaN, Infinity, "1", null])("as %s are refused", (after) => {
    expect(clientFrame.safeParse({ type: "subscribe", runId: "run_1", after }).success).toBe(false);
  });
});

describe("a path in a URL", () => {
  const name = fc
    .uint8Array({ minLength: 1, maxLength: 12 })
    .filter(
      (bytes) =>
        !bytes.includes(0) && !bytes.includes(0x2f) && !/^\.{1,2}$/.test(Buffer.from(bytes).toString("latin1")),
    );
  const encode = (bytes: Uint8Array, every: boolean) =>
    Array.from(bytes, (byte) => {
      const char = String.fromCharCode(byte);
      return !every && /[A-Za-z0-9._ ~é-]/.test(char) && byte < 128 ? char : `%${byte.toString(16).padStart(2, "0")}`;
    }).join("");

  test("is the very bytes of its names, however they are written", () => {
    fc.assert(
      fc.property(fc.array(name, { maxLength: 5 }), fc.boolean(), fc.boolean(), (names, every, slash) => {
        const isDirectory = slash && names.length > 0;
        const written = names.map((one) => encode(one, every)).join("/") + (isDirectory ? "/" : "");
        const path = filePath.parse(written);
        expect(Buffer.from(path.bytes).toString("hex")).toBe(
          names.map((one) => Buffer.from(one).toString("hex")).join("2f"),
        );
        expect(path.isDirectory).toBe(isDirectory);
      }),
    );
  });

  test("never leaves the directory, whatever is written", () => {
    const part = fc.oneof(
      fc.constantFrom("..", ".", "", "%2e%2e", "%2E.", "%2f", "%00", "%", "%2", "a", "%252e", "\0", "é", "\ud800"),
      fc.string({ unit: "binary", maxLength: 6 }),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
        const { success, data } = filePath.safeParse(parts.join("/"));
        if (!success || data.bytes.length === 0) return;
        const names = Buffer.from(data.bytes).toString("latin1").split("/");
        for (const one of names) expect(["", ".", ".."]).not.toContain(one);
        expect(data.bytes).not.toContain(0);
      }),
      { numRuns: 2000 },
    );
  });
});
