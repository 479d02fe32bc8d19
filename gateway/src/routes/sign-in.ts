/** The page behind a printed sign-in link: its script takes the code out of the fragment and signs the browser in. */
import { htmlPage } from "../page-html.ts";
import { route } from "../route.ts";

const script = `const said = document.querySelector("#said");
const code = new URLSearchParams(location.hash.slice(1)).get("code");
const signIn = async () => {
  history.replaceState(null, "", location.pathname);
  const answer = await fetch("/session", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ code }),
  });
  if (!answer.ok) return "This sign-in link is used up or too old. Print another one with: npm run link -- USER";
  return tell();
};
const tell = async () => {
  const answer = await fetch("/v1/me");
  if (!answer.ok) return "You are not signed in. Print a sign-in link with: npm run link -- USER";
  const me = await answer.json();
  return "You are signed in as " + me.user.name + "." + (me.demoModel ? " The built-in demo model answers: no real model is set." : "");
};
said.textContent = await (code ? signIn() : tell()).catch(() => "The gateway does not answer.");
`;

const style = `:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
main { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em }
pre { overflow-x: auto; padding: 0.5rem; border: 1px solid #8884 }
h2 { margin-top: 2rem; font-size: 1.1rem }
td, th { padding: 0.1rem 1rem 0.1rem 0; text-align: left; vertical-align: top }
`;

export const signInRoutes = [
  route({
    method: "GET",
    path: "/",
    summary: "The first page",
    auth: "none",
    status: 200,
    media: "text/html",
    run: async () =>
      htmlPage(
        "Berth",
        `<h1>Berth</h1><p id="said">One moment …</p>
<p><a href="/docs">The API to read</a> · <a href="/openapi.json">OpenAPI</a></p>
<script type="module" src="/sign-in.js"></script>`,
      ),
  }),
  route({
    method: "GET",
    path: "/sign-in.js",
    summary: "The script of the first page",
    auth: "none",
    status: 200,
    media: "text/javascript",
    run: async () => new Response(script, { headers: { "content-type": "text/javascript; charset=utf-8" } }),
  }),
  route({
    method: "GET",
    path: "/page.css",
    summary: "The style of the plain pages",
    auth: "none",
    status: 200,
    media: "text/css",
    run: async () => new Response(style, { headers: { "content-type": "text/css; charset=utf-8" } }),
  }),
];
