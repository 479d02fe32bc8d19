/** The first page, and the style of the plain pages. */
import { serveDashboard } from "../../http/dashboard.ts";
import { route } from "../../http/route.ts";

const style = `:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
main { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em }
pre { overflow-x: auto; padding: 0.5rem; border: 1px solid #8884 }
body { margin: 0; background: light-dark(#fffefb, #11171a); color: light-dark(#1d2528, #e3e7e5) }
a { color: light-dark(#0b6377, #71c7d8) }
h3 code { font-size: 1em }
h3 a, nav a { text-decoration: none }
summary { cursor: pointer }
nav { padding: 0 1rem; font-size: 0.8rem; overflow-wrap: anywhere }
nav h2 { margin: 1rem 0 0; font-size: 0.85rem }
nav ul { margin: 0; padding: 0; list-style: none }
nav b { display: inline-block; min-width: 3.5rem; font-weight: 400 }
@media (min-width: 60rem) {
  nav { position: fixed; inset: 0 auto 0 0; width: 20rem; overflow-y: auto }
  nav + main { margin-left: 22rem }
}
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
