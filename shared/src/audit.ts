/** The audit as admins read it: who did what, on what, from where, and with what outcome. */
import { z } from "zod";
import { auditActions } from "./audit-actions.ts";
import { time } from "./values.ts";

export const auditAction = z.enum(auditActions);
export const auditOutcome = z.enum(["succeeded", "refused"]);

const actor = z.object({
  /** `user`: a person by session; `token`: a user's API token, or one of the OpenID provider; `host`; `system`: the gateway or its command line. */
  kind: z.enum(["user", "token", "host", "system"]),
  /** The user's or host's id. */
  id: z.string().nullable(),
  name: z.string().nullable(),
  /** The API token that was used; null for one of the provider. */
  tokenId: z.string().nullable(),
});

export const auditSchema = z
  .object({
    id: z.string(),
    at: time,
    actor,
    action: auditAction,
    target: z.object({ id: z.string(), name: z.string().nullable() }).nullable(),
    address: z.string().nullable(),
    outcome: auditOutcome,
    /** Facts beside the target. Never a token, code, secret, prompt or value of a variable. */
    detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
  })
  .meta({ id: "AuditEntry" });
export type AuditEntry = z.infer<typeof auditSchema>;
