/** Calls about triggers and what came in through them. */
import type {
  Delivery,
  NewTrigger,
  Trigger,
  TriggerChange,
  TriggerWithSecret,
  WebhookScheme,
} from "@berth/shared/webhooks";
import { call, getAll, post } from "../api/api.ts";

export const schemes: Record<WebhookScheme, { name: string; advice: string }> = {
  standard: { name: "Standard Webhooks", advice: "Give the sender the address and this signing secret." },
  github: {
    name: "GitHub",
    advice: "In the repository's settings, under Webhooks: this address, content type application/json, this secret.",
  },
  token: {
    name: "Bearer token",
    advice: "The sender posts to the address with this header: Authorization: Bearer SECRET",
  },
};

export const schemeNames = Object.keys(schemes) as WebhookScheme[];

export const listTriggers = (agentId: string) => getAll<Trigger>(`/v1/agents/${agentId}/triggers`);
export const createTrigger = (agentId: string, wanted: NewTrigger) =>
  post<TriggerWithSecret>(`/v1/agents/${agentId}/triggers`, wanted);
export const updateTrigger = (id: string, change: TriggerChange) =>
  call<Trigger>("PATCH", `/v1/triggers/${id}`, change);
export const deleteTrigger = (id: string) => call("DELETE", `/v1/triggers/${id}`);
/** A new secret; the old one ends after so many seconds, at once with 0. */
export const rotateTrigger = (id: string, graceSeconds: number) =>
  post<TriggerWithSecret>(`/v1/triggers/${id}/rotate`, { graceSeconds });
export const replayDelivery = (id: string) => post<Delivery>(`/v1/deliveries/${id}/replay`);
