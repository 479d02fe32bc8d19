/** What hosts call: join and report. Not part of the public contract. */
import { AppError, parseOr400, toProblem } from "@berth/shared/errors";
import { gatewayAudience, joinAnswer, joinBody, reportAnswer } from "@berth/shared/host-api";
import { isEnded } from "@berth/shared/resources";
import { eq, sql } from "drizzle-orm";
import type { Context } from "hono";
import { z } from "zod";
import { runAfterAnswer } from "../http/background.ts";
import { callAgain } from "../hosts/call.ts";
import type { AppEnv, Deps } from "../deps.ts";
import { joinHost, whyUnusable } from "../fleet/join.ts";
import { claimedHostId, unauthenticated, verifyHostJwt } from "../keys/jwt.ts";
import { noteUsersGone } from "../agents/delete-user.ts";
import { startOnHost, wakePending } from "../agents/pending.ts";
import { applyReport, noteMisfit, noteRefusal, readReport, type Report } from "../fleet/reports.ts";
import { route } from "../http/route.ts";
import { readJson } from "../http/body.ts";
import { columnsOf, prepareOnce } from "../data/database.ts";
import { hosts } from "../data/schema.ts";

const reportHead = z.looseObject({
  protocol: z.int(),
  version: z.string().max(100).optional(),
  url: z.url().optional(),
});
/** A host tells a megabyte of runs at a time, and all of its workspaces; it waits no longer for its answer. */
const reportBounds = { bytes: 16 * 2 ** 20, values: 1_000_000, withinMs: 10_000 };

export const hostRoutes = [
  route({
    method: "POST",
    path: "/internal/hosts/join",
    summary: "A host joins with a join token and registers its public key",
    auth: "none",
    body: joinBody,
    answer: joinAnswer,
    errors: ["unauthenticated"],
    run: async ({ deps, source, body }) => {
      const hostId = await joinHost(deps, source, body);
      return { hostId, issuer: gatewayAudience };
    },
  }),
  route({
    method: "POST",
    path: "/internal/hosts/report",
    summary: "A host reports its state and hears of revocations; 410 once it was removed",
    auth: "none",
    burst: "reports",
    answer: reportAnswer,
    errors: ["unauthenticated"],
    run: async ({ deps, c }) => {
      const host = await authenticateHost(deps, c.req.raw);
      if (host.removedAt !== null) return goneAnswer(c.get("requestId"));
      const body = await readJson(c.req.raw, reportBounds);
      // Of another protocol nothing is understood but this.
      const about = parseOr400(reportHead, body, "body");
      const refusal = whyUnusable(deps.settings, about);
      if (refusal !== null) {
        await noteRefusal(deps, host.id, about, refusal);
        throw new AppError("invalid_request", refusal);
      }
      const { report, misfit } = readReport(body);
      if (report.goneUsers?.length) await noteUsersGone(deps, host, report.goneUsers);
      const answer = await applyReport(deps, host.id, report);
      if (await noteMisfit(deps, host.id, report, misfit))
        deps.log.error("report.entry_set_aside", { hostId: host.id, misfit });
      if (host.unreached !== null)
        runAfterAnswer(c, deps, "call again", async () => callAgain(deps, { id: host.id, url: report.url }));
      wakeWaiting(deps, c, host.id, report);
      return answer;
    },
  }),
];

/** An ended run leaves room for one that waits. */
function wakeWaiting(deps: Deps, c: Context<AppEnv>, hostId: string, { runs }: Report): void {
  const userIds = [...new Set(runs.filter((run) => isEnded(run.status)).map((run) => run.userId))];
  if (userIds.length === 0) return;
  runAfterAnswer(c, deps, "start pending", async () => {
    await wakePending(deps, userIds);
    await startOnHost(deps, hostId);
  });
}

const selectHost = prepareOnce((db) =>
  db
    .select(columnsOf(hosts, "id", "name", "publicKey", "removedAt", "unreached"))
    .from(hosts)
    .where(eq(hosts.id, sql.placeholder("hostId")))
    .prepare(),
);

async function authenticateHost({ db, keyring, now }: Deps, request: Request) {
  const jwt = /^Bearer ([\w.-]+)$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
  const hostId = claimedHostId(jwt);
  const host = hostId === null ? undefined : await selectHost(db).get({ hostId });
  if (!host) throw unauthenticated();
  await verifyHostJwt(keyring, host, jwt, now());
  return host;
}

/** The one answer whose status is not its code's: the host ends its runs and containers, and keeps the files. */
function goneAnswer(requestId: string): Response {
  const { body, headers } = toProblem(new AppError("forbidden", "This host was removed."), requestId);
  return new Response(JSON.stringify({ ...body, status: 410 }), { status: 410, headers });
}
