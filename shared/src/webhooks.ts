/** Triggers and what came in through them, as the contract shows and accepts them. */
import { z } from "zod";
import { agentName, id, plainText, runStatus, time } from "./values.ts";

/** How a trigger is called, and what a run that it starts is said to come from. */
export const originOf = { standard: "webhook", github: "webhook", token: "webhook" } as const;
export type TriggerScheme = keyof typeof originOf;
const triggerScheme = z.enum(Object.keys(originOf) as [TriggerScheme, ...TriggerScheme[]]);
/** Those of a trigger that a sender calls: how it proves itself. */
export type SenderScheme = {
  [Scheme in TriggerScheme]: (typeof originOf)[Scheme] extends "webhook" ? Scheme : never;
}[TriggerScheme];

export const triggerSchema = z
  .object({
    id,
    agentId: id,
    name: z.string(),
    scheme: triggerScheme,
    template: z.string(),
    /** Where the sender posts to. */
    url: z.string(),
    /** Whether what a sender posts is executed: its agent runs messages as scripts, and the template puts words of the delivery into them. */
    executesPayload: z.boolean(),
    createdAt: time,
    updatedAt: time,
    lastDeliveryAt: time.nullable(),
  })
  .meta({ id: "Trigger" });
export type Trigger = z.infer<typeof triggerSchema>;
/** With the secret, which is shown on creation and on rotation alone. */
export const triggerWithSecretSchema = triggerSchema.extend({ secret: z.string() });
export type TriggerWithSecret = z.infer<typeof triggerWithSecretSchema>;

/** Characters; the time to parse one grows with the square of it. */
const templateMaxLength = 16_384;
const template = plainText.pipe(
  z
    .string()
    .max(templateMaxLength)
    .refine((text) => text.trim() !== "", "must not be empty"),
);
export const createTriggerBody = z.strictObject({ name: agentName, scheme: triggerScheme, template });
export type NewTrigger = z.infer<typeof createTriggerBody>;
export const updateTriggerBody = z.strictObject({ name: agentName.optional(), template: template.optional() });
export type TriggerChange = z.infer<typeof updateTriggerBody>;
/** How long the secret before stays good beside the new one; by default it ends at once. */
export const rotateBody = z.strictObject({ graceSeconds: z.int().min(0).max(604_800).default(0) });

export const deliverySchema = z
  .object({
    id,
    triggerId: id,
    /** The sender's own id of it, by which it was deduplicated. */
    externalId: z.string().nullable(),
    /** Null where none came of it: see `status` and `detail`. */
    runId: id.nullable(),
    /** The run's status; `skipped`: the template gave no prompt; `rejected`: it could not give one. */
    status: z.enum([...runStatus.options, "skipped", "rejected"]),
    detail: z.string().nullable(),
    contentType: z.string().nullable(),
    bytes: z.int(),
    receivedAt: time,
    /** The delivery that this one repeats. */
    replayOf: id.nullable(),
  })
  .meta({ id: "Delivery" });
export type Delivery = z.infer<typeof deliverySchema>;

/** What a sender is answered. */
export const acceptedSchema = z.object({ deliveryId: id, runId: id.nullable() });
