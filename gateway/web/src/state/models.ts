/** The models that the model API offers, asked for once, when somebody chooses one. Without an answer there is none to choose from, and free text. */
import { signal } from "@preact/signals";
import type { ModelChoice } from "@berth/shared/resources";
import { get, type Page } from "../api/api.ts";

export const models = signal<ModelChoice[]>([]);
let isAsked = false;

export function loadModels(): void {
  if (isAsked) return;
  isAsked = true;
  get<Page<ModelChoice>>("/v1/models").then(
    ({ items }) => (models.value = items),
    () => (isAsked = false),
  );
}
