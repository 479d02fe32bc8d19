import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type AnswerReader, readBody, readEvents } from "./answer-json.ts";
import type { AnswerFact } from "./api.ts";
import { messagesApi } from "./messages.ts";

const mib = 2 ** 20;

/** The bytes in pieces that end at these places: also within a character, a name, a line's end. */
function push(reader: AnswerReader, bytes: Buffer, picks: number[]): boolean {
  const cuts = picks.map((pick) => pick % (bytes.length + 1)).toSorted((a, b) => a - b);
  for (const [at, end] of [...cuts, bytes.length].entries()) reader.push(bytes.subarray(cuts[at - 1] ?? 0, end));
  return reader.end();
}
const cuts = fc.array(fc.nat(), { maxLength: 20 });

const text = fc.string({
  unit: fc.constantFrom("a", "é", "€", "🙂", '"', "\n", "\u2028", "usage", "error"),
  maxLength: 8,
});
const count = fc.oneof(fc.nat({ max: 1_000_000 }), fc.constantFrom(-1, 0.5, 2 ** 53, "1", null));
const usage = fc.record(
  { input_tokens: count, output_tokens: count, cache_read_input_tokens: count },
  { requiredKeys: [] },
);
const event = fc.oneof(
  fc.record({ type: fc.constant("message_start"), message: fc.record({ model: text, usage }) }),
  fc.record({ type: fc.constant("message_delta"), usage, delta: fc.record({ text }) }),
  fc.record({ type: fc.constant("content_block_delta"), delta: fc.record({ text }) }),
  fc.record({ type: fc.constant("error"), error: fc.record({ type: fc.constantFrom("overloaded_error", "odd") }) }),
  fc.record({
    type: fc.constantFrom("message_start", "message_delta", "error"),
    usage: fc.jsonValue(),
    error: fc.jsonValue(),
  }),
  fc.jsonValue(),
);
const line = fc.oneof(
  event.map((value) => `data: ${JSON.stringify(value)}`),
  text.map((said) => `: ${said.replaceAll("\n", " ")}`),
  fc.constantFrom("event: message_delta", 'data: {"usage":', "data:", "", 'data: null "usage"', 'data: []"error"'),
);
const ending = fc.constantFrom("\n", "\r\n", "\n\n");

function factsOf(bytes: Buffer, picks: number[], open: typeof readEvents): AnswerFact[] {
  const facts: AnswerFact[] = [];
  expect(push(open(messagesApi.readAnswer((fact) => facts.push(fact))), bytes, picks)).toBe(true);
  return facts;
}

test("a streamed answer says the same, wherever its pieces end, and its tokens never fall", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(line, ending), { maxLength: 12 }), cuts, (lines, picks) => {
      const bytes = Buffer.from(lines.map(([said, end]) => said + end).join(""));
      const facts = factsOf(bytes, picks, readEvents);
      expect(facts).toEqual(factsOf(bytes, [], readEvents));
      let before = 0;
      for (const fact of facts)
        if ("usage" in fact) {
          const { costUsd, ...tokens } = fact.usage;
          const sum = Object.values(tokens).reduce((all, one) => all + one, 0);
          expect(sum).toBeGreaterThanOrEqual(before);
          expect(Number.isSafeInteger(sum) && costUsd >= 0).toBe(true);
          before = sum;
        }
    }),
    { numRuns: 500 },
  );
});

test("a plain answer says the same, wherever its pieces end", () => {
  const body = fc.oneof(
    event.map((value) => JSON.stringify(value)),
    fc.string({ unit: "binary" }),
  );
  fc.assert(
    fc.property(body, cuts, (said, picks) => {
      const bytes = Buffer.from(said);
      expect(factsOf(bytes, picks, readBody)).toEqual(factsOf(bytes, [], readBody));
    }),
    { numRuns: 500 },
  );
});

/** A line or body of so many bytes that says its usage at its end. */
const sized = (head: string, size: number) => {
  const tail = '","usage":{"output_tokens":7}}';
  return Buffer.concat([Buffer.from(head), Buffer.alloc(size - head.length - tail.length, "x"), Buffer.from(tail)]);
};

test.each([-4, -3, -2, -1, 0, 1, 2, 3, 4])(
  "an event of 1 MiB and %i bytes is read, or passed over with what follows read",
  (off) => {
    const said: object[] = [];
    const bytes = Buffer.concat([sized('data:{"text":"', mib + off), Buffer.from('\ndata: {"usage":1}\n')]);
    push(
      readEvents((one) => said.push(one)),
      bytes,
      [mib / 2, mib - 1, mib],
    );
    expect(said).toHaveLength(off > 0 ? 1 : 2);
    expect(said.at(-1)).toEqual({ usage: 1 });
  },
);

test.each([-4, -3, -2, -1, 0, 1, 2, 3, 4])("a body of 16 MiB and %i bytes is read, or said to be too large", (off) => {
  const said: object[] = [];
  const isRead = push(
    readBody((one) => said.push(one)),
    sized('{"text":"', 16 * mib + off),
    [mib, 16 * mib],
  );
  expect([isRead, said.length]).toEqual(off > 0 ? [false, 0] : [true, 1]);
});

test("what an answer says of searches, of the fast mode and of each time the model was asked is counted", () => {
  const facts: AnswerFact[] = [];
  const read = messagesApi.readAnswer((fact) => facts.push(fact));
  const cost = (usage: object) => {
    read({ type: "message_delta", usage });
    const [last] = facts.slice(-1);
    return last && "usage" in last ? last.usage.costUsd : null;
  };
  read({ type: "message_start", message: { model: "claude-opus-4-8", usage: { input_tokens: 1000 } } });
  expect(cost({ output_tokens: 1000 })).toBeCloseTo(0.03);
  expect(cost({ server_tool_use: { web_search_requests: 2 } })).toBeCloseTo(0.05);
  const iterations = [{ input_tokens: 9000, output_tokens: 500 }, { input_tokens: 1000, output_tokens: 1500 }, null, 7];
  expect(cost({ iterations })).toBeCloseTo(0.05 + 0.05 + 0.02);
  expect(cost({ speed: "fast" })).toBeCloseTo(0.1 * 2 + 0.02);
  expect(cost({ inference_geo: "not_available" })).toBeCloseTo(0.1 * 2 + 0.02);
  expect(cost({ inference_geo: "us" })).toBeCloseTo(0.1 * 2 * 1.1 + 0.02);
  for (const iterations of ["x", { length: 3 }, [[], {}]]) cost({ iterations, server_tool_use: null });
  expect(cost({})).toBeCloseTo(0.24);
});
