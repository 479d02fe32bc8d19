/** A sender of webhooks, with each scheme's own library. */
import { sign } from "@octokit/webhooks-methods";
import { Webhook } from "standardwebhooks";
import type { Agent } from "@berth/shared/resources";
import type { Client } from "./client.ts";

export interface Trigger {
  id: string;
  url: string;
  secret: string;
}
export interface Accepted {
  status: number;
  deliveryId: string;
  runId: string;
}
export type Scheme = "standard" | "github" | "token";

export async function createTrigger(
  client: Client,
  agent: Agent,
  template: string,
  scheme: Scheme = "token",
): Promise<Trigger> {
  return client.ok<Trigger>("POST", `/v1/agents/${agent.id}/triggers`, { name: "t", scheme, template });
}

/** What a sender of this scheme puts into its headers. */
export async function headersOf(
  scheme: Scheme,
  secret: string,
  id: string,
  body: string,
): Promise<Record<string, string>> {
  const at = new Date();
  if (scheme === "token") return { authorization: `Bearer ${secret}`, "idempotency-key": id };
  if (scheme === "github") return { "x-github-delivery": id, "x-hub-signature-256": await sign(secret, body) };
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": new Webhook(secret).sign(id, at, body),
  };
}
