import type { Run } from "@berth/shared/resources";
import * as fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { chunkSize, createFold } from "../transcript/fold.ts";
import { dialects } from "../runtimes/runtimes.ts";
import { createRunLogs } from "./run-logs.ts";

beforeAll(() => {
  // Where pages draw; here nobody does.
  globalThis.requestAnimationFrame = () => 0;
});

/** What CLIs say, and what they should not. */
const index = fc.constantFrom(0, 1, 2, -1, "0", null);
const words = fc.string({ unit: "binary", maxLength: 12 });
const toolId = fc.constantFrom("t1", "t2", "", null, 7);
const block = fc.oneof(
  fc.record({ type: fc.constantFrom("text", "thinking"), text: words, thinking: words }, { requiredKeys: ["type"] }),
  fc.record({ type: fc.constantFrom("tool_use", "server_tool_use"), id: toolId, name: words, input: fc.jsonValue() }),
  fc.record({ type: fc.constant("tool_result"), tool_use_id: toolId, content: fc.jsonValue(), is_error: fc.boolean() }),
  fc.jsonValue(),
);
const streamEvent = fc.oneof(
  fc.record({ type: fc.constant("message_start") }),
  fc.record({ type: fc.constant("content_block_start"), index, content_block: block }),
  fc.record({ type: fc.constant("content_block_delta"), index, delta: fc.record({ text: words }) }),
  fc.jsonValue(),
);
const parent_tool_use_id = fc.constantFrom(null, "t1", "t2");
const line = fc.oneof(
  fc.record({ type: fc.constant("stream_event"), event: streamEvent, parent_tool_use_id }),
  fc.record({
    type: fc.constantFrom("assistant", "user"),
    message: fc.record({ content: fc.oneof(fc.array(block), words) }),
    parent_tool_use_id,
  }),
  fc.record({ type: fc.constant("result"), is_error: fc.boolean(), result: words }),
  fc.record(
    { type: fc.constant("line"), text: fc.oneof(words, fc.constant("x".repeat(3999))), more: fc.boolean() },
    { requiredKeys: ["type", "text"] },
  ),
  fc.record({ type: fc.constantFrom("system", "session_missing", "rate_limit_event", "__proto__", "odd") }),
  fc.jsonValue(),
);
/** Lines with the offsets behind them, which may lie beyond 2 GiB. */
const log = fc
  .tuple(
    fc.array(fc.tuple(line, fc.integer({ min: 1, max: 100 })), { maxLength: 70 }),
    fc.constantFrom(0, 2 ** 31 - 50, 2 ** 40),
  )
  .map(([lines, start]) => {
    let offset = start;
    return lines.map(([data, length]) => ({ data, offset: (offset += length) }));
  });

const fold = (lines: unknown[]) => {
  const made = createFold(dialects);
  for (const one of lines) made.add(one);
  return made;
};

test("any lines fold without a fault, each change has a chunk, and nothing stays open after the end", () => {
  fc.assert(
    fc.property(fc.array(line, { maxLength: 70 }), (lines) => {
      const made = createFold(dialects);
      for (const one of lines) {
        const before = JSON.stringify(made.items);
        const revs = made.chunkRevs.reduce((sum, rev) => sum + rev, 0);
        made.add(one);
        if (JSON.stringify(made.items) !== before)
          expect(made.chunkRevs.reduce((sum, rev) => sum + rev, 0)).toBeGreaterThan(revs);
      }
      expect(made.chunkRevs).toHaveLength(Math.ceil(made.items.length / chunkSize));
      made.end();
      expect(made.items.filter((item) => "isOpen" in item && item.isOpen)).toEqual([]);
    }),
    { numRuns: 500 },
  );
});

test("a log that breaks off and goes on anywhere, with lines that come again, is the whole log", () => {
  const breaks = fc.array(fc.record({ at: fc.nat(), back: fc.nat({ max: 10 }) }), { maxLength: 5 });
  fc.assert(
    fc.property(log, breaks, (lines, given) => {
      const asked: number[] = [];
      const run = { id: "run_1", endedAt: null as string | null, logBytes: lines.at(-1)?.offset ?? 0 } as Run;
      const logs = createRunLogs(
        (_runId, after) => asked.push(after),
        () => run,
      );
      const { log: followed } = logs.watch("run_1");
      let at = 0;
      for (const stop of [...given.map((one) => one.at % (lines.length + 1)), lines.length]) {
        for (; at < stop; at++) logs.addLine("run_1", lines[at]!.offset, lines[at]!.data);
        logs.resume([run]);
        expect(asked.at(-1)).toBe(followed.offset);
        // The server sends from that offset on; what was on its way before comes too.
        at = Math.max(0, Math.min(at, stop) - (given[0]?.back ?? 0));
      }
      run.endedAt = "2026-01-01T00:00:00.000Z";
      logs.addRun(run);
      const whole = fold(lines.map(({ data }) => data));
      whole.end();
      expect(followed.fold.items).toEqual(whole.items);
      expect(followed.state.value).toBe("complete");
    }),
    { numRuns: 300 },
  );
});

test("plain output is all there in order, however it is cut into lines", () => {
  const pieces = fc.array(
    fc.record({
      text: fc.oneof(
        words,
        fc.integer({ min: 3990, max: 8010 }).map((n) => "x".repeat(n % 2) + "🙂".repeat(n / 2)),
      ),
      more: fc.boolean(),
    }),
    { maxLength: 20 },
  );
  fc.assert(
    fc.property(pieces, (all) => {
      const { items } = fold(all.map((one) => ({ type: "line", ...one })));
      const text = items.map((item) => (item.kind === "output" ? item.text : "")).join("");
      expect(text).toBe(all.map((one) => one.text + (one.more ? "" : "\n")).join(""));
      for (const item of items)
        if (item.kind === "output") {
          expect(item.text.length).toBeLessThanOrEqual(4000);
          expect(item.text.isWellFormed()).toBe(true);
        }
    }),
    { numRuns: 300 },
  );
});
