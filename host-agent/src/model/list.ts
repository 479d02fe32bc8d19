/** The models that the Messages API says it has: asked with the host's own key and kept for minutes. Whoever asks is told of none rather than of an error. */
import { collect } from "@berth/shared/node/collect";
import type { ModelChoice } from "@berth/shared/resources";
import { createMask } from "./mask.ts";
import { messagesApi } from "./messages.ts";
import type { ModelTargets } from "./targets.ts";

const keptMs = 600_000;
/** After an answer that is of no use. */
const againMs = 30_000;
const deadlineMs = 4000;
const answerBytes = 262_144;
const mostModels = 200;

/** Reads the list, from memory or from the API. Never rejects; racing readers share one call. */
export function createModelList({ of }: Pick<ModelTargets, "of">): () => Promise<ModelChoice[]> {
  let kept: { until: number; models: Promise<ModelChoice[]> } = { until: 0, models: Promise.resolve([]) };
  return () => {
    if (performance.now() < kept.until) return kept.models;
    const models = ask(of(messagesApi)).catch(() => []);
    const asked = { until: performance.now() + keptMs, models };
    void models.then(({ length }) => length === 0 && (asked.until = performance.now() + againMs));
    kept = asked;
    return models;
  };
}

async function ask({ url, apiKey }: ReturnType<ModelTargets["of"]>): Promise<ModelChoice[]> {
  const answer = await fetch(`${url.replace(/\/$/, "")}/v1/models?limit=${mostModels}`, {
    headers: { "anthropic-version": "2023-06-01", ...(apiKey !== null && messagesApi.keyHeaders(apiKey)) },
    // The key goes to the address that is set and nowhere else.
    redirect: "error",
    signal: AbortSignal.timeout(deadlineMs),
  });
  const bytes = await collect(answer.body ?? [], answerBytes);
  if (!bytes) return [];
  const body = JSON.parse(createMask(apiKey).text(bytes.toString())) as { data?: unknown };
  if (!answer.ok || !Array.isArray(body.data)) return [];
  const entries = body.data.slice(0, mostModels) as ({ id?: unknown; display_name?: unknown } | null)[];
  return entries.flatMap((entry) => {
    const { id, display_name: name } = entry ?? {};
    if (typeof id !== "string" || id === "" || id.length > 100) return [];
    return [{ id, name: typeof name === "string" ? name.slice(0, 100) : id }];
  });
}
