/** The app: the whole list of routes, the order of what wraps them, and the one place where errors become answers. */
import { AppError, toProblem } from "@berth/shared/errors";
import { messageOf } from "@berth/shared/log";
import { Hono, type Context } from "hono";
import { createAuthenticator } from "./access/authenticate.ts";
import { serveDashboard } from "./http/dashboard.ts";
import type { AppEnv, Deps } from "./deps.ts";
import { createLimits, type Limits } from "./http/limits.ts";
import { createProvider } from "./access/provider/discovery.ts";
import { credentialRoutes } from "./routes/credentials.ts";
import { documentRoutes } from "./routes/documents.ts";
import { fileRoutes } from "./routes/files.ts";
import { firstPageRoutes } from "./routes/sign-in/first-page.ts";
import { registerRoutes, type Route } from "./http/route.ts";
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
  app.use(async (c, next) => {
    const startedAt = deps.now();
    c.set("requestId", crypto.randomUUID());
    c.set("route", "-");
    await next();
    setHeaders(deps, c);
    logCall(deps, c, startedAt);
  });
  registerRoutes(app, [...contract, ...documentRoutes(contract), ...hostRoutes, ...firstPageRoutes], deps, {
    authenticator: createAuthenticator(deps, provider),
    limits,
  });
  app.notFound(async (c) => {
    const isHook = c.req.path.startsWith("/hooks/");
    const detail = isHook ? "Webhooks are delivered here, by POST alone." : "There is nothing at this address.";
    return (await serveDashboard(deps, c)) ?? problem(c, new AppError("not_found", detail));
  });
  app.onError((error, c) => {
    if (!(error instanceof AppError))
      deps.log.error("http.defect", { requestId: c.get("requestId"), error: messageOf(error) });
    return problem(c, error);
  });
  return app;
}

function problem(c: Context<AppEnv>, error: unknown): Response {
  const { status, headers, body } = toProblem(error, c.get("requestId"));
  return new Response(JSON.stringify(body), { status, headers });
}

function setHeaders({ settings }: Deps, c: Context<AppEnv>): void {
  const headers = c.res.headers;
  if (settings.BERTH_PUBLIC_URL.startsWith("https:")) headers.set("strict-transport-security", "max-age=31536000");
  headers.set("x-request-id", c.get("requestId"));
  headers.set("x-content-type-options", "nosniff");
  headers.set("referrer-policy", "no-referrer");
  if (!headers.has("content-security-policy"))
    headers.set("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
  if (!headers.has("cache-control")) headers.set("cache-control", "no-store");
  const cookie = c.get("cookie");
  if (cookie) headers.append("set-cookie", cookie);
}

function logCall({ log, now }: Deps, c: Context<AppEnv>, startedAt: number): void {
  log.info("http", {
    method: c.req.method,
    route: c.get("route"),
    status: c.res.status,
    ms: Math.round(now() - startedAt),
    requestId: c.get("requestId"),
    userId: c.get("userId") ?? null,
  });
}
