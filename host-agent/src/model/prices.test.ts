import { expect, test } from "vitest";
import { costOf, dearestCall } from "./prices.ts";

const million = 1_000_000;
const none = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 };

test.each([
  ["claude-opus-5-5", 4, 20, 0.2, 5],
  ["claude-opus-5", 5, 25, 0.5, 6.25],
  ["claude-opus-4-8-20260101", 5, 25, 0.5, 6.25],
  ["claude-sonnet-5-5", 2, 10, 0.1, 2.5],
  ["claude-sonnet-5", 2, 10, 0.2, 2.5],
  ["claude-fable-5-2", 8, 40, 0.2, 10],
  ["claude-mythos-5-1", 10, 50, 0.25, 12.5],
  ["claude-fable-5", 10, 50, 1, 12.5],
  ["us.anthropic.claude-sonnet-4-5", 3, 15, 0.3, 3.75],
  ["claude-haiku-4-5", 1, 5, 0.1, 1.25],
  ["claude-haiku-5-5", 0.5, 0.5, 0.05, 0.625],
  ["claude-opus-4-1", 15, 75, 1.5, 18.75],
  ["some-other-model", 15, 75, 1.5, 18.75],
  ["berth-demo", 0, 0, 0, 0],
])("a million tokens of %s cost %d in, %d out, %d read, %d written", (model, input, output, read, write) => {
  expect(costOf(model, { ...none, inputTokens: million })).toBeCloseTo(input);
  expect(costOf(model, { ...none, outputTokens: million })).toBeCloseTo(output);
  expect(costOf(model, { ...none, cacheReadTokens: million })).toBeCloseTo(read);
  expect(costOf(model, { ...none, cacheWriteTokens: million })).toBeCloseTo(write);
});

test("a short prompt of a model with a long-prompt price costs the short price", () => {
  expect(costOf("claude-haiku-5-5", { ...none, inputTokens: 100_000 })).toBeCloseTo(0.01);
  expect(costOf("claude-haiku-5-5", { ...none, inputTokens: 100_001 })).toBeCloseTo(0.05);
});

test("a cache write that is kept for an hour costs twice the input", () => {
  const tokens = { ...none, cacheWriteTokens: million, cacheWrite1hTokens: million };
  expect(costOf("claude-opus-5-5", tokens)).toBeCloseTo(8);
});

test("searches of the web and the fast mode cost what they cost beside the tokens", () => {
  expect(costOf("claude-opus-4-8", { ...none, webSearches: 3 })).toBeCloseTo(0.03);
  expect(costOf("claude-opus-4-8", { ...none, inputTokens: million, webSearches: 1, isFast: true })).toBeCloseTo(10.01);
  expect(costOf("berth-demo", { ...none, webSearches: 3, isFast: true })).toBe(0);
});

test.each([
  ["claude-opus-5-5", 8, 40, 0.4],
  ["claude-opus-5", 10, 50, 1],
  ["claude-opus-4-7", 30, 150, 3],
  ["claude-fable-5-2", 16, 80, 0.4],
  ["some-other-model", 90, 450, 9],
])("a million tokens of %s in its fast mode cost %d in, %d out, %d read", (model, input, output, read) => {
  const cost = (tokens: object) => costOf(model, { ...none, isFast: true, ...tokens });
  expect(cost({ inputTokens: million })).toBeCloseTo(input);
  expect(cost({ outputTokens: million })).toBeCloseTo(output);
  expect(cost({ cacheReadTokens: million })).toBeCloseTo(read);
});

test("tokens, but not searches, cost a tenth more where the answer was asked for from the United States", () => {
  const tokens = { ...none, inputTokens: million, webSearches: 1, isInUs: true };
  expect(costOf("claude-sonnet-5-5", tokens)).toBeCloseTo(2.21);
});

test.each([
  "opus-5-5",
  "opus-4-8",
  "opus-4-5",
  "sonnet-5-5",
  "sonnet-4",
  "haiku-5",
  "haiku-4",
  "mythos-5-2",
  "fable-5-1",
  "mythos-5",
])("no call of %s costs more than it counts for while it is open", (model) => {
  const most = { ...none, cacheWriteTokens: million, cacheWrite1hTokens: million, outputTokens: 128_000, isInUs: true };
  for (const isFast of [false, true])
    expect(costOf(`claude-${model}`, { ...most, isFast })).toBeLessThanOrEqual(dearestCall(isFast));
});
