/** Signing in at the OpenID provider: there and back. A person reads the answers, so failures are pages. */
import { AppError, httpStatusOf } from "@berth/shared/errors";
import type { Context } from "hono";
import { z } from "zod";
import type { AppEnv, Deps } from "../../deps.ts";
import { ensureIdentity } from "../../access/identities.ts";
import { attemptSeconds, beginSignIn, callbackPath, finishSignIn } from "../../access/provider/sign-in.ts";
import { isLoopbackAlias } from "../../http/origin.ts";
import { escapeHtml, htmlPage } from "../../http/html.ts";
import { createProviderVerifier } from "../../access/provider/token.ts";
import type { Provider } from "../../access/provider/discovery.ts";
import { route, type Route } from "../../http/route.ts";
import { attemptCookie } from "../../http/cookies.ts";
import { attemptSignIn, openSession, spendSignIn } from "../../access/sign-in.ts";
import { unauthenticated } from "../../keys/jwt.ts";

const callbackQuery = z.looseObject({});

export function oidcRoutes(provider: Provider | null): Route[] {
  if (!provider) return [];
  const verifier = createProviderVerifier(provider);
  return [
    route({
      method: "GET",
      path: "/session/oidc",
      summary: "Sign a browser in at the OpenID provider: redirects there",
      auth: "none",
      status: 302,
      limit: "sign_in",
      errors: ["host_unavailable"],
      run: ({ deps, c }) =>
        orPage(deps, c, async () => {
          const publicUrl = deps.settings.BERTH_PUBLIC_URL;
          // The cookie must be where the provider sends the browser back to.
          if (isLoopbackAlias(deps.settings, c.req.raw)) return redirect(`${publicUrl}/session/oidc`);
          const { url, attempt } = await beginSignIn(deps, provider);
          return redirect(url.href, attemptCookie.set(publicUrl, attempt, attemptSeconds));
        }),
    }),
    route({
      method: "GET",
      path: callbackPath,
      summary: "Where the OpenID provider sends the browser back to: opens the session and redirects to the dashboard",
      auth: "none",
      query: callbackQuery,
      status: 302,
      limit: "sign_in",
      errors: ["unauthenticated", "host_unavailable"],
      run: ({ deps, c, limits, source }) =>
        orPage(deps, c, async () => {
          const back = {
            search: new URL(c.req.url).search,
            attempt: attemptCookie.read(deps.settings.BERTH_PUBLIC_URL, c.req.raw),
          };
          // Any page can send a browser here, but not with the cookie: without it nothing is tried, nor counted as failed.
          if (back.attempt === null) throw unauthenticated();
          const cookie = await attemptSignIn(deps, limits, source, "oidc", async () => {
            const profile = await finishSignIn(deps, provider, verifier, back);
            const user = await ensureIdentity(deps, source.address, profile);
            if (user.disabled) throw unauthenticated();
            await spendSignIn(limits, user.id);
            return openSession(deps, source.address, user, "oidc");
          });
          c.set("cookie", cookie);
          return redirect("/", attemptCookie.set(deps.settings.BERTH_PUBLIC_URL, "", 0));
        }),
    }),
  ];
}

function redirect(location: string, cookie?: string): Response {
  return new Response(null, { status: 302, headers: { location, ...(cookie && { "set-cookie": cookie }) } });
}

/** What went wrong, as a page with one sentence and the way back. A defect is a page too; the log has it. */
async function orPage({ log }: Deps, c: Context<AppEnv>, answer: () => Promise<Response>): Promise<Response> {
  try {
    return await answer();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    log.info("sign_in.refused", { requestId: c.get("requestId"), code: error.code });
    const status = httpStatusOf(error.code);
    const page = htmlPage(
      "Sign-in did not succeed",
      `<h1>Sign-in did not succeed</h1><p>${escapeHtml(sentenceOf(error))}</p>
<p><a href="/session/oidc">Try again</a> · <a href="/">Other ways to sign in</a></p><p><small>${c.get("requestId")}</small></p>`,
    );
    const headers = new Headers(page.headers);
    if (error.fields.retryAfter !== undefined) headers.set("retry-after", String(error.fields.retryAfter));
    return new Response(page.body, { status, headers });
  }
}

function sentenceOf(error: AppError): string {
  if (error.code !== "unauthenticated") return error.message;
  return "The provider did not confirm who you are, the sign-in was begun more than ten minutes ago or in another browser, or your user is disabled or deleted here: ask an admin.";
}
