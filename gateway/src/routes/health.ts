/** Health and public keys. */
import { sql } from "drizzle-orm";
import { z } from "zod";
import type { Deps } from "../deps.ts";
import { findLiveHosts } from "../hosts/placement.ts";
import { route } from "../http/route.ts";

const readiness = z.object({ status: z.enum(["ready", "unready"]), reason: z.string().nullable() });

export const healthRoutes = [
  route({
    method: "GET",
    path: "/healthz",
    summary: "Live: the process answers",
    auth: "none",
    answer: z.object({ status: z.literal("ok") }),
    run: async () => ({ status: "ok" as const }),
  }),
  route({
    method: "GET",
    path: "/readyz",
    summary: "Ready: the database answers and at least one host is live",
    auth: "none",
    otherwise: { status: 503, when: "Not ready, and the reason" },
    answer: readiness,
    run: async ({ deps, c }) => {
      const reason = await unreadyReason(deps);
      return reason === null ? { status: "ready" as const, reason } : c.json({ status: "unready", reason }, 503);
    },
  }),
  route({
    method: "GET",
    path: "/.well-known/jwks.json",
    summary: "The public keys of the tokens that this gateway issues",
    auth: "none",
    answer: z.object({ keys: z.array(z.record(z.string(), z.unknown())) }),
    run: async ({ deps }) => ({ keys: deps.keyring.jwks.keys.map((jwk) => ({ ...jwk })) }),
  }),
];

async function unreadyReason({ db, now, log }: Deps): Promise<string | null> {
  try {
    await db.all(sql`select 1`);
    return (await findLiveHosts(db, now(), null)).reason;
  } catch {
    log.error("database.unreachable");
    return "The database does not answer.";
  }
}
