import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type SplitLines, splitLines } from "../run/run-log.ts";
import { toEventBlock } from "./event-block.ts";
import { toBody } from "./sse.ts";

const json = fc.jsonValue().map((value) => JSON.stringify({ value }));
const spaced = json.map((text) => `${text.replace("{", "{\r")}\r`);
const words = fc.string({ unit: fc.constantFrom("a", " ", '"', "\\", "\t", "\r", "\0", "\x7f", "é", "\u2028", "🙂") });
const long = fc.integer({ min: 127 * 1024, max: 129 * 1024 }).map((length) => "x".repeat(length));
const bad = fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes.filter((byte) => byte !== 0x0a)));
const line = fc.oneof({ weight: 9, arbitrary: fc.oneof(json, spaced, words, bad) }, { weight: 1, arbitrary: long });
const log = fc
  .array(line, { maxLength: 20 })
  .map((lines) => Buffer.concat(lines.flatMap((one) => [Buffer.from(one), Buffer.from("\n")])));

/** The whole stream of what these lines become. */
function streamOf<Batch extends object>(split: SplitLines<Batch>, bytes: Buffer, start: number, speaksJson: boolean) {
  async function* events() {
    for (let from = 0; from < bytes.length;) {
      const { batch, next } = split(bytes, from, start, speaksJson);
      yield { kind: "lines", lines: batch as never } as const;
      from = next;
    }
  }
  return new Response(toBody(events, () => () => {})).text();
}

test("lines made events many at once are the events that they are one by one", async () => {
  const start = fc.constantFrom(0, 9, 99_990, 2 ** 31 - 4, 2 ** 40);
  await fc.assert(
    fc.asyncProperty(log, start, fc.boolean(), async (bytes, at, speaksJson) => {
      const said = await streamOf(toEventBlock, bytes, at, speaksJson);
      expect(said).toBe(await streamOf(splitLines, bytes, at, speaksJson));
    }),
    { numRuns: 60 },
  );
});
