/** The contract as OpenAPI and as a page to read, both from the declared routes. */
import { httpStatusOf } from "@berth/shared/errors";
import { z } from "zod";
import { describeRoutes, errorsOf, type OpenApi } from "../http/openapi.ts";
import { escapeHtml, htmlPage } from "../http/html.ts";
import { route, statusOf, type Route } from "../http/route.ts";

export function documentRoutes(contract: Route[]): Route[] {
  let described: OpenApi | undefined;
  const describe = (serverUrl: string) => (described ??= describeRoutes([...contract, ...routes], serverUrl));
  const routes: Route[] = [
    route({
      method: "GET",
      path: "/openapi.json",
      summary: "This contract as OpenAPI 3.1",
      auth: "none",
      answer: z.record(z.string(), z.unknown()),
      run: async ({ deps }) => describe(deps.settings.BERTH_PUBLIC_URL),
    }),
    route({
      method: "GET",
      path: "/docs",
      summary: "This contract to read",
      auth: "none",
      media: "text/html",
      run: async ({ deps }) =>
        htmlPage("Berth API", docsBody([...contract, ...routes], describe(deps.settings.BERTH_PUBLIC_URL))),
    }),
  ];
  return routes;
}

function docsBody(routes: Route[], { paths, components }: OpenApi): string {
  const sections = routes.map((declared) => {
    const operation = paths[declared.path]?.[declared.method.toLowerCase()];
    const who = { none: "no credential", user: "any user", admin: "admins" }[declared.auth];
    const codes = errorsOf(declared).map((code) => `${httpStatusOf(code)} ${code}`);
    return `<h2><code>${declared.method} ${escapeHtml(declared.path)}</code></h2>
<p>${escapeHtml(declared.summary)}. For ${who}. Success: ${statusOf(declared)}${codes.length > 0 ? `; errors: ${codes.join(", ")}` : ""}.</p>
${jsonBlock("Parameters", operation?.["parameters"])}${jsonBlock("Body", operation?.["requestBody"])}${jsonBlock("Answer", operation?.responses[statusOf(declared)])}`;
  });
  const schemas = Object.entries(components.schemas).map(([name, schema]) => jsonBlock(name, schema));
  return `<h1>Berth API</h1>
<p>Send <code>Authorization: Bearer &lt;JWT&gt;</code>. Errors are <code>application/problem+json</code>; their <code>code</code> is the contract. The same as <a href="/openapi.json">OpenAPI 3.1</a>.</p>
${sections.join("\n")}
<h2>Objects</h2>
${schemas.join("\n")}`;
}

function jsonBlock(title: string, value: unknown): string {
  if (value === undefined) return "";
  return `<details><summary>${escapeHtml(title)}</summary><pre>${escapeHtml(JSON.stringify(value, null, 2))}</pre></details>`;
}
