/** Calls about triggers and what came in through them. */
import type { RunStatus } from "@berth/shared/resources";
import { call, getAll, post } from "../api/api.ts";

export type Scheme = "standard" | "github" | "token";
export interface Trigger {
  id: string;
  agentId: string;
  name: string;
  scheme: Scheme;
  template: string;
  url: string;
  createdAt: string;
  updatedAt: string;
  lastDeliveryAt: string | null;
}
export interface TriggerWithSecret extends Trigger {
  secret: string;
}
export interface Delivery {
  id: string;
  triggerId: string;
  externalId: string | null;
  runId: string | null;
  status: RunStatus | "skipped" | "rejected";
  detail: string | null;
  contentType: string | null;
  bytes: number;
  receivedAt: string;
  replayOf: string | null;
}

export const schemes: Record<Scheme, { name: string; advice: string }> = {
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

export const listTriggers = (agentId: string) => getAll<Trigger>(`/v1/agents/${agentId}/triggers`);
export const createTrigger = (agentId: string, wanted: Pick<Trigger, "name" | "scheme" | "template">) =>
  post<TriggerWithSecret>(`/v1/agents/${agentId}/triggers`, wanted);
export const updateTrigger = (id: string, change: Partial<Pick<Trigger, "name" | "template">>) =>
  call<Trigger>("PATCH", `/v1/triggers/${id}`, change);
export const deleteTrigger = (id: string) => call("DELETE", `/v1/triggers/${id}`);
/** A new secret; the old one stays good for a day, so that the sender can be changed meanwhile. */
export const rotateTrigger = (id: string) =>
  post<TriggerWithSecret>(`/v1/triggers/${id}/rotate`, { graceSeconds: 86_400 });
export const replayDelivery = (id: string) => post<Delivery>(`/v1/deliveries/${id}/replay`);
