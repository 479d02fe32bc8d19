/** Triggers and their deliveries, and `POST /hooks/:triggerId`, where senders deliver. */
import { AppError } from "@berth/shared/errors";
import { idempotencyKey } from "@berth/shared/resources";
import {
  acceptedSchema,
  createTriggerBody,
  deliverySchema,
  rotateBody,
  triggerSchema,
  triggerWithSecretSchema,
  updateTriggerBody,
} from "@berth/shared/webhooks";
import type { Context } from "hono";
import { z } from "zod";
import { networkOf } from "@berth/shared/bounds/network";
import { runAfterAnswer } from "../http/background.ts";
import { readBody } from "../http/body.ts";
import { acceptDelivery, listDeliveries, replayDelivery, templateHeaders } from "../webhooks/deliveries.ts";
import type { AppEnv, Deps } from "../deps.ts";
import type { Limits } from "../http/limits.ts";
import { pageQuery, pageSchema } from "../http/paging.ts";
import { startPending } from "../agents/pending.ts";
import { route } from "../http/route.ts";
import {
  createTrigger,
  deleteTrigger,
  getTrigger,
  listTriggers,
  openHook,
  rotateSecret,
  updateTrigger,
} from "../webhooks/triggers.ts";
import { verifyWebhook } from "../webhooks/schemes.ts";

const payloadMaxBytes = 262_144;
const slowestMs = 60_000;
/** A template of 16,384 characters, escaped. */
const templateBytes = 131_072;

const agentTriggerRoutes = [
  route({
    method: "GET",
    path: "/v1/agents/{id}/triggers",
    summary: "The agent's triggers, oldest first",
    auth: "user",
    query: pageQuery,
    answer: pageSchema(triggerSchema),
    run: async ({ deps, caller, params, query }) =>
      listTriggers(deps.db, deps.settings, caller.user.id, params.id, query),
  }),
  route({
    method: "POST",
    path: "/v1/agents/{id}/triggers",
    summary: "Create a trigger; url and secret go to the sender, the secret is shown once",
    auth: "user",
    body: createTriggerBody,
    bodyMaxBytes: templateBytes,
    status: 201,
    answer: triggerWithSecretSchema,
    limit: "changes",
    errors: ["conflict"],
    run: async ({ deps, source, caller, params, body }) => createTrigger(deps, source, caller.user.id, params.id, body),
  }),
];

const triggerOwnRoutes = [
  route({
    method: "GET",
    path: "/v1/triggers/{id}",
    summary: "One trigger",
    auth: "user",
    answer: triggerSchema,
    run: async ({ deps, caller, params }) => getTrigger(deps.db, deps.settings, caller.user.id, params.id),
  }),
  route({
    method: "PATCH",
    path: "/v1/triggers/{id}",
    summary: "Change name or template; deliveries and replays from now on see it",
    auth: "user",
    body: updateTriggerBody,
    bodyMaxBytes: templateBytes,
    answer: triggerSchema,
    limit: "changes",
    run: async ({ deps, source, caller, params, body }) => updateTrigger(deps, source, caller.user.id, params.id, body),
  }),
  route({
    method: "DELETE",
    path: "/v1/triggers/{id}",
    summary: "Delete a trigger and its deliveries; runs that still wait are cancelled",
    auth: "user",
    run: async ({ deps, source, caller, params }) => deleteTrigger(deps, source, caller.user.id, params.id),
  }),
  route({
    method: "POST",
    path: "/v1/triggers/{id}/rotate",
    summary: "A new secret, shown once; the one before ends at once, or after graceSeconds",
    auth: "user",
    body: rotateBody,
    isBodyOptional: true,
    answer: triggerWithSecretSchema,
    limit: "changes",
    run: async ({ deps, source, caller, params, body }) =>
      rotateSecret(deps, source, caller.user.id, params.id, body.graceSeconds),
  }),
];

const deliveryRoutes = [
  route({
    method: "GET",
    path: "/v1/triggers/{id}/deliveries",
    summary: "What came in and what became of it, newest first",
    auth: "user",
    query: pageQuery,
    answer: pageSchema(deliverySchema),
    run: async ({ deps, caller, params, query }) => listDeliveries(deps.db, caller.user.id, params.id, query),
  }),
  route({
    method: "POST",
    path: "/v1/deliveries/{id}/replay",
    summary:
      "Take a delivery once more: a new delivery and a new run, by the template as it is now; the header Idempotency-Key makes a retry return the first",
    auth: "user",
    headers: z.object({ "Idempotency-Key": idempotencyKey.optional() }),
    status: 202,
    answer: deliverySchema,
    limit: "changes",
    run: async ({ deps, c, source, caller, params, headers }) => {
      const which = { deliveryId: params.id, key: headers["Idempotency-Key"] ?? null };
      const delivery = await replayDelivery(deps, source, caller.user.id, which);
      runAfterAnswer(c, deps, "start pending", () => startPending(deps, caller.user.id));
      return delivery;
    },
  }),
];

const hookRoute = route({
  method: "POST",
  path: "/hooks/{id}",
  summary: "Deliver a webhook, with any body up to 256 KiB: 202 once it is stored and will run",
  auth: "none",
  limit: "hooks",
  upload: "*/*",
  status: 202,
  otherwise: { status: 200, when: "The same delivery id came before: the first run" },
  answer: acceptedSchema,
  errors: ["unauthenticated", "payload_too_large", "rate_limited"],
  run: async ({ deps, c, limits, source, params }) => takeWebhook(deps, c, limits, source.address, params.id),
});

export const triggerRoutes = [...agentTriggerRoutes, ...triggerOwnRoutes, ...deliveryRoutes, hookRoute];

/** Wrong signatures are limited for each trigger and network, and never stop a right one; right ones are for each trigger. */
async function takeWebhook(
  deps: Deps,
  c: Context<AppEnv>,
  limits: Limits,
  address: string | null,
  triggerId: string,
): Promise<Response> {
  // Nothing is kept of strangers who know no trigger.
  const trigger = await openHook(deps, triggerId);
  const body = await readBody(c.req.raw, payloadMaxBytes, slowestMs);
  const headers = c.req.raw.headers;
  const { scheme, secrets } = trigger;
  const genuine = await verifyWebhook(deps.digests, scheme, secrets, { headers, body }, deps.now());
  if (!genuine) {
    await limits.noteFailure("hooks", `${triggerId} ${networkOf(address ?? "unknown")}`);
    throw new AppError("unauthenticated", "The signature or secret does not fit this trigger, or is too old.");
  }
  await limits.spendKey("hooks", triggerId);
  const contentType = headers.get("content-type");
  const incoming = {
    externalId: genuine.externalId,
    replayOf: null,
    contentType,
    headers: templateHeaders(headers),
    body,
  };
  const { deliveryId, runId, isRepeated, isNext } = await acceptDelivery(deps, trigger, incoming);
  // Whoever starts what waits before it goes on with it.
  if (!isRepeated && isNext && runId !== null)
    runAfterAnswer(c, deps, "start pending", () => startPending(deps, trigger.userId));
  return c.json({ deliveryId, runId }, isRepeated ? 200 : 202);
}
