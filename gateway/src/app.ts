/** The app: the whole list of routes, the order of what wraps them, and the one place where errors become answers. */
import { AppError, toProblem } from "@berth/shared/errors";
import { messageOf, stackOf } from "@berth/shared/log";
import { Hono, type Context } from "hono";
import { createAuthenticator } from "./access/authenticate.ts";
import { serveDashboard } from "./http/dashboard.ts";
import { tellUnwritable } from "./data/database.ts";
import type { AppEnv, Deps } from "./deps.ts";
import { createLimits, type Limits } from "./http/limits.ts";
import { createProvider } from "./access/provider/discovery.ts";
import { credentialRoutes } from "./routes/credentials.ts";
import { documentRoutes } from "./routes/documents.ts";
import { fileRoutes } from "./routes/files.ts";
import { firstPageRoutes } from "./routes/sign-in/first-page.ts";
import { type Answer, registerRoutes, type Route } from "./http/route.ts";
import { adminRoutes } from "./routes/admin/users.ts";
import { adminHostRoutes } from "./routes/admin/hosts.ts";
import { agentRoutes } from "./routes/agents.ts";
import { connectRoutes } from "./routes/connect.ts";
import { healthRoutes } from "./routes/health.ts";
import { hostRoutes } from "./routes/hosts.ts";
import { oidcRoutes } from "./routes/sign-in/provider.ts";
import { runRoutes } from "./routes/runs.ts";
import { sessionRoutes } from "./routes/sign-in/session.ts";
import { triggerRoutes } from "./routes/triggers.ts";
import { tokenRoutes } from "./routes/tokens.ts";
import { workspaceRoutes } from "./routes/workspace.ts";

export function createApp(deps: Deps, limits: Limits = createLimits()): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  const provider = createProvider(deps);
  const contract: Route[] = [
    ...healthRoutes,
    ...sessionRoutes,
    ...oidcRoutes(provider),
    ...tokenRoutes,
    ...workspaceRoutes,
    ...agentRoutes,
    ...runRoutes,
    ...triggerRoutes,
    ...fileRoutes,
    ...credentialRoutes,
    ...connectRoutes,
    ...adminRoutes,
    ...adminHostRoutes,
  ];
  const serve = (answer: (c: Context<AppEnv>) => Promise<Answer>) => async (c: Context<AppEnv>) => {
    const startedAt = deps.now();
    c.set("requestId", crypto.randomUUID());
    c.set("route", "-");
    const response = toResponse(deps, c, await answer(c).catch((error: unknown) => toAnswer(deps, c, error)));
    logCall(deps, c, response.status, startedAt);
    return response;
  };
  registerRoutes(app, [...contract, ...documentRoutes(contract), ...hostRoutes, ...firstPageRoutes], deps, {
    authenticator: createAuthenticator(deps, provider),
    limits,
    serve,
  });
  app.notFound(
    serve(async (c) => {
      const isHook = c.req.path.startsWith("/hooks/");
      const detail = isHook ? "Webhooks are delivered here, by POST alone." : "There is nothing at this address.";
      return (await serveDashboard(deps, c)) ?? toAnswer(deps, c, new AppError("not_found", detail));
    }),
  );
  return app;
}

function toAnswer({ log }: Deps, c: Context<AppEnv>, error: unknown): Answer {
  const requestId = c.get("requestId");
  const isOurs = error instanceof AppError;
  if (!isOurs) log.error("http.defect", { requestId, error: messageOf(error), stack: stackOf(error) });
  // A host says of a user's own disk that it is full, which is another.
  const { status, headers, body } = toProblem((isOurs ? null : tellUnwritable(error)) ?? error, requestId);
  return { status, headers, body: JSON.stringify(body) };
}

/** The response with the headers that each has. */
function toResponse({ settings }: Deps, c: Context<AppEnv>, answer: Answer): Response {
  const cookie = c.get("cookie");
  const always = {
    ...(settings.BERTH_PUBLIC_URL.startsWith("https:") && { "strict-transport-security": "max-age=31536000" }),
    "x-content-type-options": "nosniff",
    // Cookies come along from other ports of the same name: what is an agent's picture here is nothing there.
    "cross-origin-resource-policy": "same-origin",
    ...(!isPartOfPage(answer) && { "x-request-id": c.get("requestId"), "referrer-policy": "no-referrer" }),
  };
  if (!(answer instanceof Response)) {
    const { status, headers, body } = answer;
    return new Response(body, {
      status,
      headers: { ...unlessNamed, ...headers, ...always, ...(cookie && { "set-cookie": cookie }) },
    });
  }
  for (const [name, value] of Object.entries(unlessNamed))
    if (!answer.headers.has(name)) answer.headers.set(name, value);
  for (const [name, value] of Object.entries(always)) answer.headers.set(name, value);
  if (cookie) answer.headers.append("set-cookie", cookie);
  return answer;
}

/** A script or a style sheet, of which a page loads many: the page's own policy holds for them, and nobody asks after one. */
const isPartOfPage = (answer: Answer) =>
  answer instanceof Response && /^text\/(javascript|css)/.test(answer.headers.get("content-type") ?? "");

/** What a response has that says nothing else. */
const unlessNamed = {
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cache-control": "no-store",
};

function logCall({ log, now }: Deps, c: Context<AppEnv>, status: number, startedAt: number): void {
  log.info("http", {
    method: c.req.method,
    route: c.get("route"),
    status,
    ms: Math.round(now() - startedAt),
    requestId: c.get("requestId"),
    userId: c.get("userId") ?? null,
  });
}
