/** What hosts call: join and report. Not part of the public contract. */
import { AppError, parseOr400, toProblem } from "@berth/shared/errors";
import { gatewayAudience, joinAnswer, joinBody, reportAnswer, reportBody } from "@berth/shared/host-api";
import { eq } from "drizzle-orm";
import type { Deps } from "../deps.ts";
import { joinHost } from "../hosts.ts";
import { claimedHostId, unauthenticated, verifyHostJwt } from "../jwt.ts";
import { answerReport, applyReport } from "../reports.ts";
import { route } from "../route.ts";
import { readJson } from "../body.ts";
import { hosts } from "../schema.ts";

const reportMaxBytes = 16 * 2 ** 20;

export const hostRoutes = [
  route({
    method: "POST",
    path: "/internal/hosts/join",
    summary: "A host joins with a join token and registers its public key",
    auth: "none",
    body: joinBody,
    status: 200,
    answer: joinAnswer,
    errors: ["unauthenticated"],
    run: async ({ deps, body }) => {
      const hostId = await joinHost(deps.db, deps.now(), body);
      deps.log.info("host.joined", { hostId, name: body.name });
      return { hostId, issuer: gatewayAudience };
    },
  }),
  route({
    method: "POST",
    path: "/internal/hosts/report",
    summary: "A host reports its state and hears of revocations; 410 once it was removed",
    auth: "none",
    status: 200,
    answer: reportAnswer,
    errors: ["unauthenticated"],
    run: async ({ deps, c }) => {
      const host = await authenticateHost(deps, c.req.raw);
      if (host.removedAt !== null) return goneAnswer(c.get("requestId"));
      const report = parseOr400(reportBody, await readJson(c.req.raw, reportMaxBytes), "body");
      await applyReport(deps, host.id, report);
      return answerReport(deps, host.id);
    },
  }),
];

async function authenticateHost({ db, now }: Deps, request: Request) {
  const jwt = /^Bearer ([\w.-]+)$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
  const hostId = claimedHostId(jwt);
  const [host] = hostId === null ? [] : await db.select().from(hosts).where(eq(hosts.id, hostId));
  if (!host) throw unauthenticated();
  await verifyHostJwt(host.publicKey, host.id, jwt, now());
  return host;
}

/** The one answer whose status is not its code's: the host ends its runs and containers, and keeps the files. */
function goneAnswer(requestId: string): Response {
  const { body, headers } = toProblem(new AppError("forbidden", "This host was removed."), requestId);
  return new Response(JSON.stringify({ ...body, status: 410 }), { status: 410, headers });
}
