/** Calls about triggers and what came in through them. */
import type { Delivery, NewTrigger, Trigger, TriggerChange, TriggerWithSecret } from "@berth/shared/webhooks";
import { call, getAll, post, postOnce } from "../api/api.ts";

export const listTriggers = (agentId: string) => getAll<Trigger>(`/v1/agents/${agentId}/triggers`);
export const createTrigger = (agentId: string, wanted: NewTrigger) =>
  post<TriggerWithSecret>(`/v1/agents/${agentId}/triggers`, wanted);
export const updateTrigger = (id: string, change: TriggerChange) =>
  call<Trigger>("PATCH", `/v1/triggers/${id}`, change);
export const deleteTrigger = (id: string) => call("DELETE", `/v1/triggers/${id}`);
/** A new secret; the old one ends after so many seconds, at once with 0. */
export const rotateTrigger = (id: string, graceSeconds: number) =>
  post<TriggerWithSecret>(`/v1/triggers/${id}/rotate`, { graceSeconds });
/** `key` is of this replay: whoever calls again with it replays nothing twice. */
export const replayDelivery = (id: string, key: string) =>
  postOnce<Delivery>(`/v1/deliveries/${id}/replay`, undefined, key);
