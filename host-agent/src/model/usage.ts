/** Reads token usage out of answers of the Messages API as their bytes pass by. Changes nothing of them, and holds no more than its bounds. */
import type { TokenCounts } from "./prices.ts";

/** What an answer says of itself: the model and the tokens of this one answer so far (totals, never falling), or an error inside a stream. */
export type AnswerFact = { model: string; tokens: Required<TokenCounts> } | { errorStatus: number };
export interface UsageReader {
  push(chunk: Buffer): void;
  /** The answer ended whole. False: it was too large to be read. */
  end(): boolean;
}

const maxEventBytes = 1024 * 1024;
const maxJsonBytes = 16 * 1024 * 1024;

/** Statuses that errors inside a stream stand for. */
const statusOfError: Record<string, number> = {
  authentication_error: 401,
  permission_error: 403,
  rate_limit_error: 429,
  overloaded_error: 529,
};

/** Reads a streamed answer (server-sent events); a line longer than 1 MiB is passed over. */
export function readStreamUsage(onFact: (fact: AnswerFact) => void): UsageReader {
  const answer = createAnswer(onFact);
  const lines = splitLines((line) => {
    if (!line.startsWith("data:") || !/"(usage|error)"/.test(line)) return;
    const event = parseJson(line.slice(5));
    if (event?.type === "message_start") answer.update(event.message?.usage, event.message?.model);
    if (event?.type === "message_delta") answer.update(event.usage);
    const errorStatus = event?.type === "error" ? statusOfError[event.error?.type ?? ""] : undefined;
    if (errorStatus) onFact({ errorStatus });
  });
  return { push: lines.push, end: () => true };
}

/** Reads a plain JSON answer of at most 16 MiB. */
export function readJsonUsage(onFact: (fact: AnswerFact) => void): UsageReader {
  let chunks: Buffer[] = [];
  let size = 0;
  return {
    push(chunk) {
      size += chunk.length;
      if (size <= maxJsonBytes) chunks.push(chunk);
      else chunks = [];
    },
    end() {
      if (size > maxJsonBytes) return false;
      const message = parseJson(Buffer.concat(chunks).toString());
      createAnswer(onFact).update(message?.usage, message?.model);
      return true;
    },
  };
}

interface WireUsage {
  input_tokens?: unknown;
  output_tokens?: unknown;
  cache_read_input_tokens?: unknown;
  cache_creation_input_tokens?: unknown;
  cache_creation?: { ephemeral_1h_input_tokens?: unknown } | null;
}
interface WireEvent {
  type?: string;
  message?: { model?: string; usage?: WireUsage };
  model?: string;
  usage?: WireUsage;
  error?: { type?: string };
}

/** The totals of one answer: later figures replace earlier ones, as the API counts up, and never fall. */
function createAnswer(onFact: (fact: AnswerFact) => void) {
  let model = "";
  const tokens = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, cacheWrite1hTokens: 0 };
  const raise = (key: keyof typeof tokens, value: unknown) => {
    if (Number.isSafeInteger(value)) tokens[key] = Math.max(tokens[key], value as number);
  };
  return {
    update(usage: WireUsage | undefined, name?: string) {
      if (typeof name === "string") model = name.slice(0, 200);
      if (!usage) return;
      raise("inputTokens", usage.input_tokens);
      raise("outputTokens", usage.output_tokens);
      raise("cacheReadTokens", usage.cache_read_input_tokens);
      raise("cacheWriteTokens", usage.cache_creation_input_tokens);
      raise("cacheWrite1hTokens", usage.cache_creation?.ephemeral_1h_input_tokens);
      onFact({ model, tokens: { ...tokens } });
    },
  };
}

/** Cuts bytes into lines; what a line has beyond the bound is dropped with the line. */
function splitLines(onLine: (line: string) => void) {
  let held: Buffer[] = [];
  let size = 0;
  const take = (piece: Buffer) => {
    size += piece.length;
    if (size <= maxEventBytes) held.push(piece);
    else held = [];
  };
  return {
    push(chunk: Buffer) {
      let start = 0;
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
        take(chunk.subarray(start, end));
        if (size <= maxEventBytes) onLine(Buffer.concat(held).toString());
        held = [];
        size = 0;
        start = end + 1;
      }
      take(chunk.subarray(start));
    },
  };
}

function parseJson(text: string): WireEvent | null {
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}
