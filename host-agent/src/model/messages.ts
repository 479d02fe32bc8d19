/** The Messages API of Anthropic (docs.anthropic.com, version 2023-06-01): its paths, headers, errors, and what its answers say of their usage. */
import type { AnswerFact, ModelApi } from "./api.ts";
import { costOf, dearestCall } from "./prices.ts";

export const messagesApi: ModelApi = {
  name: "Messages",
  keyName: "ANTHROPIC_API_KEY",
  target: ({ ANTHROPIC_API_KEY: apiKey = null, BERTH_MODEL_URL: url = "https://api.anthropic.com" }) => ({
    url,
    apiKey,
  }),
  paths: /^(\/v1\/messages(?:\/count_tokens)?)(\?[\x21-\x7e]*)?$/,
  chargedPath: "/v1/messages",
  headers: /^(x-app|anthropic-.*|x-claude-.*)$/,
  // Nobody has the fast mode who does not name it.
  mostUsd: ({ "anthropic-beta": features }) => dearestCall(/fast/i.test(String(features))),
  keyHeaders: (apiKey) => ({ "x-api-key": apiKey }),
  errorBody: (status, message) => ({ type: "error", error: { type: errorTypes[status] ?? "api_error", message } }),
  readAnswer,
};

/** Types of errors by their status; inside a stream the type alone is said. */
const errorTypes: Record<number, string> = {
  400: "invalid_request_error",
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  529: "overloaded_error",
};
const statusOfType = (type: unknown) => Number(Object.keys(errorTypes).find((key) => errorTypes[Number(key)] === type));

interface WireUsage {
  input_tokens?: unknown;
  output_tokens?: unknown;
  cache_read_input_tokens?: unknown;
  cache_creation_input_tokens?: unknown;
  cache_creation?: { ephemeral_1h_input_tokens?: unknown } | null;
  server_tool_use?: { web_search_requests?: unknown } | null;
  speed?: unknown;
  inference_geo?: unknown;
  /** Where the provider has asked the model several times, the figures of each; those above are of the last then. */
  iterations?: unknown;
}
/** Of as many as one answer can have. */
const mostIterations = 100;
/** A plain answer is a message itself, in a stream it comes with the first event. */
interface WireEvent {
  type?: unknown;
  message?: { model?: unknown; usage?: WireUsage } | null;
  model?: unknown;
  usage?: WireUsage | null;
  error?: { type?: unknown } | null;
}

/** The totals of one answer: later figures replace earlier ones, as the API counts up, and never fall. */
function readAnswer(onFact: (fact: AnswerFact) => void): (event: unknown) => void {
  let model = "";
  const tokens = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, cacheWrite1hTokens: 0 };
  let [webSearches, isFast, isInUs] = [0, false, false];
  const raise = (key: keyof typeof tokens, usage: WireUsage[], read: (usage: WireUsage) => unknown) => {
    const whole = usage.map(read).map((value) => (Number.isSafeInteger(value) ? (value as number) : 0));
    const [own = 0, ...parts] = whole;
    tokens[key] = Math.max(
      tokens[key],
      own,
      parts.reduce((sum, part) => sum + part, 0),
    );
  };
  const update = (usage: WireUsage | null | undefined, name?: unknown) => {
    if (typeof name === "string") model = name.slice(0, 200);
    if (!usage) return;
    const parts = Array.isArray(usage.iterations) ? (usage.iterations.slice(0, mostIterations) as WireUsage[]) : [];
    const all = [usage, ...parts.filter((part) => typeof part === "object" && part !== null)];
    raise("inputTokens", all, (part) => part.input_tokens);
    raise("outputTokens", all, (part) => part.output_tokens);
    raise("cacheReadTokens", all, (part) => part.cache_read_input_tokens);
    raise("cacheWriteTokens", all, (part) => part.cache_creation_input_tokens);
    raise("cacheWrite1hTokens", all, (part) => part.cache_creation?.ephemeral_1h_input_tokens);
    const searches = usage.server_tool_use?.web_search_requests;
    if (Number.isSafeInteger(searches)) webSearches = Math.max(webSearches, searches as number);
    isFast ||= usage.speed === "fast";
    isInUs ||= usage.inference_geo === "us";
    const { cacheWrite1hTokens: _, ...counts } = tokens;
    onFact({ usage: { ...counts, costUsd: costOf(model, { ...tokens, webSearches, isFast, isInUs }) } });
  };
  return (value) => {
    const event = value as WireEvent;
    if (event.type === "message_start") update(event.message?.usage, event.message?.model);
    else if (event.type !== "error") update(event.usage, event.model);
    else {
      const errorStatus = statusOfType(event.error?.type);
      if (errorStatus) onFact({ errorStatus });
    }
  };
}
