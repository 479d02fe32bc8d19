import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { OutputLine } from "../run/run-log.ts";
import type { RunEvent } from "./follow.ts";
import { toBody } from "./sse.ts";

interface Read {
  id: string | null;
  event: string;
  data: string;
}
/** A reader of event streams as WHATWG HTML 9.2.6 has it, for what comes whole. */
function readStream(text: string): Read[] {
  const read: Read[] = [];
  for (const block of text
    .replaceAll(/\r\n|\r/g, "\n")
    .split("\n\n")
    .slice(0, -1)) {
    const fields = block.split("\n").map((line) => /^([^:]*):? ?(.*)$/s.exec(line)!.slice(1) as [string, string]);
    const of = (name: string) => fields.filter(([field]) => field === name).map(([, value]) => value);
    if (of("data").length > 0)
      read.push({ id: of("id")[0] ?? null, event: of("event")[0] ?? "message", data: of("data").join("\n") });
  }
  return read;
}

/** JSON text as logs have it: without a line's end of any kind that is not escaped, and whole or in pieces. */
const json = fc.jsonValue().map((value) => JSON.stringify({ value }));
const text = fc.string({ unit: "binary" }).map((said) => JSON.stringify({ type: "line", text: said }));
const data = fc.oneof(json, text, fc.constantFrom('{"u":"\u2028\u2029\u0085"}', "{\t}"));
const line = fc.record({
  offset: fc.oneof(fc.nat(), fc.integer({ min: 2 ** 31 - 4, max: 2 ** 31 + 4 }), fc.constant(2 ** 40)),
  data,
  pieces: fc.option(fc.array(fc.nat(), { maxLength: 4 })),
});
const batch = fc.array(line, { maxLength: 4 });

/** Cut anywhere but within a character: decoders hand on whole ones. */
async function* inPieces(whole: string, picks: number[]) {
  const points = Array.from(whole);
  const cuts = picks.map((pick) => pick % (points.length + 1)).toSorted((a, b) => a - b);
  for (const [at, end] of [...cuts, points.length].entries()) yield points.slice(cuts[at - 1] ?? 0, end).join("");
}

test("each line is one event with its offset and its very data, whole or in pieces", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.option(batch), { maxLength: 5 }), async (batches) => {
      async function* events(): AsyncGenerator<RunEvent> {
        for (const lines of batches)
          yield lines === null
            ? { kind: "idle" }
            : {
                kind: "lines",
                lines: lines.map((one): OutputLine => ({
                  offset: one.offset,
                  values: null,
                  data: one.pieces === null ? one.data : inPieces(one.data, one.pieces),
                })),
              };
      }
      const body = await new Response(toBody(events, () => () => {})).text();
      const lines = batches.flatMap((one) => one ?? []);
      expect(readStream(body)).toEqual(
        lines.map((one) => ({
          id: String(one.offset),
          event: "output",
          data: new TextDecoder().decode(new TextEncoder().encode(one.data)),
        })),
      );
    }),
    { numRuns: 300 },
  );
});

test("a log that cannot be read in the midst of a stream ends it after what was read, and its reader is not told why", async () => {
  async function* events(): AsyncGenerator<RunEvent> {
    yield { kind: "lines", lines: [{ offset: 7, values: null, data: "{}" }] };
    throw new Error("EROFS: read-only file system, chmod '/var/lib/berth/mnt/usr_1'");
  }
  const failures: unknown[] = [];
  const register = () => () => {};
  const body = await new Response(toBody(events, register, (error) => failures.push(error))).text();
  expect(readStream(body)).toEqual([{ id: "7", event: "output", data: "{}" }]);
  expect(body).not.toContain("EROFS");
  expect(failures).toHaveLength(1);
});
