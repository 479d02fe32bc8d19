/** The first page, and the style of the plain pages. */
import { serveDashboard } from "../../http/dashboard.ts";
import { route } from "../../http/route.ts";

const style = `:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
main { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em }
pre { overflow-x: auto; padding: 0.5rem; border: 1px solid #8884 }
h2 { margin-top: 2rem; font-size: 1.1rem }
td, th { padding: 0.1rem 1rem 0.1rem 0; text-align: left; vertical-align: top }
`;

export const firstPageRoutes = [
  route({
    method: "GET",
    path: "/",
    summary: "The dashboard",
    auth: "none",
    media: "text/html",
    run: async ({ deps, c }) => (await serveDashboard(deps, c))!,
  }),
  route({
    method: "GET",
    path: "/page.css",
    summary: "The style of the plain pages",
    auth: "none",
    media: "text/css",
    run: async () => new Response(style, { headers: { "content-type": "text/css; charset=utf-8" } }),
  }),
];
