/** What a model call costs: list prices by model family, for budgets and for the figures users see. Knows nothing of runs. */

/** Tokens of one answer. `cacheWriteTokens` holds all cache writes; `cacheWrite1hTokens` says how many of them are kept for an hour. */
export interface TokenCounts {
  inputTokens: number;
  outputTokens: number;
  cacheReadTokens: number;
  cacheWriteTokens: number;
  cacheWrite1hTokens?: number;
  /** Searches of the web that the provider has made. */
  webSearches?: number;
  /** Answered in the provider's fast mode. */
  isFast?: boolean;
  /** Answered in the United States because the call asked for that. */
  isInUs?: boolean;
}

interface Price {
  family: RegExp;
  input: number;
  output: number;
  /** Share of the input price that a token read from the cache costs. */
  cacheRead: number;
  /** Above this many prompt tokens everything costs `factor` times as much. */
  long?: { above: number; factor: number };
  /** How many times as much everything costs in the fast mode, where it has one. */
  fast?: number;
}

/**
 * USD per million tokens, the first match holds. From Anthropic's public price pages and the price list inside Claude Code 2.1.330,
 * which agree (looked up in November 2026: cache, fast mode, searches and regions too); the models that neither knows, from the earlier
 * public list.
 */
const prices: Price[] = [
  { family: /^berth-demo/, input: 0, output: 0, cacheRead: 0 },
  { family: /opus-5-5/, input: 4, output: 20, cacheRead: 0.05, fast: 2 },
  { family: /opus-(5|4-8)/, input: 5, output: 25, cacheRead: 0.1, fast: 2 },
  { family: /opus-4-[5-9]/, input: 5, output: 25, cacheRead: 0.1 },
  { family: /sonnet-5-5/, input: 2, output: 10, cacheRead: 0.05 },
  { family: /sonnet-5/, input: 2, output: 10, cacheRead: 0.1 },
  { family: /sonnet/, input: 3, output: 15, cacheRead: 0.1 },
  { family: /haiku-5/, input: 0.1, output: 0.5, cacheRead: 0.1, long: { above: 100_000, factor: 5 } },
  { family: /haiku/, input: 1, output: 5, cacheRead: 0.1 },
  { family: /(fable|mythos)-5-2/, input: 8, output: 40, cacheRead: 0.025, fast: 2 },
  { family: /(fable|mythos)-5-1/, input: 10, output: 50, cacheRead: 0.025 },
  { family: /fable|mythos/, input: 10, output: 50, cacheRead: 0.1 },
];
/** Older Opus, and everything unknown: a budget may stop too early, never too late. */
const dearest: Price = { family: /./, input: 15, output: 75, cacheRead: 0.1 };
const cacheWrite = 1.25;
const cacheWrite1h = 2;
/** Of a model for which no fast mode is listed: that of Opus 4.6 and 4.7, the dearest there was. */
const dearestFast = 6;
const inUs = 1.1;
/** USD of one search. */
const webSearch = 0.01;

/** The price in USD of one answer with these tokens; an unknown model costs as much as the dearest. */
export function costOf(model: string, tokens: TokenCounts): number {
  return costAt(prices.find(({ family }) => family.test(model)) ?? dearest, tokens);
}

/** The price in USD of the dearest answer of any model listed: a million tokens in, kept for an hour, and 128,000 said. */
export function dearestCall(isFast: boolean): number {
  const most = {
    inputTokens: 0,
    outputTokens: 128_000,
    cacheReadTokens: 0,
    cacheWriteTokens: 1_000_000,
    isFast,
    isInUs: true,
  };
  return Math.max(...prices.map((price) => costAt(price, { ...most, cacheWrite1hTokens: most.cacheWriteTokens })));
}

function costAt(price: Price, tokens: TokenCounts): number {
  const kept1h = Math.min(tokens.cacheWrite1hTokens ?? 0, tokens.cacheWriteTokens);
  const inputUnits =
    tokens.inputTokens +
    tokens.cacheReadTokens * price.cacheRead +
    (tokens.cacheWriteTokens - kept1h) * cacheWrite +
    kept1h * cacheWrite1h;
  const promptTokens = tokens.inputTokens + tokens.cacheReadTokens + tokens.cacheWriteTokens;
  const long = price.long && promptTokens > price.long.above ? price.long.factor : 1;
  const factor = long * (tokens.isFast ? (price.fast ?? dearestFast) : 1) * (tokens.isInUs ? inUs : 1);
  const ofTokens = (factor * (inputUnits * price.input + tokens.outputTokens * price.output)) / 1_000_000;
  return ofTokens + (price.input > 0 ? (tokens.webSearches ?? 0) * webSearch : 0);
}
