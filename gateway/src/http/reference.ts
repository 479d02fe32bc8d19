/** The contract as a page to read: navigation, a section with an address for each call, and how it is called by curl and in TypeScript. */
import { httpStatusOf } from "@berth/shared/errors";
import { escapeHtml } from "./html.ts";
import { errorsOf, type OpenApi } from "./openapi.ts";
import { statusOf, type Route } from "./route.ts";

type Json = Record<string, unknown>;

/** The body of the page; it needs no script. */
export function referenceBody(routes: Route[], { paths, components, servers }: OpenApi): string {
  const address = (servers as { url: string }[])[0]!.url;
  const groups = Map.groupBy(routes, ({ path }) => path.split("/")[path.startsWith("/v1/") ? 2 : 1] || "pages");
  const nav = [...groups].map(
    ([name, some]) => `<h2><a href="#${name}">${name}</a></h2><ul>${some.map(navLine).join("")}</ul>`,
  );
  const sections = [...groups].map(([name, some]) => {
    const calls = some.map((declared) => {
      const operation = paths[declared.path]?.[declared.method.toLowerCase()];
      return describeCall(declared, operation ?? { responses: {} }, { address, schemas: components.schemas });
    });
    return `<h2 id="${name}">${name}</h2>${calls.join("\n")}`;
  });
  const objects = Object.entries(components.schemas).map(
    ([name, schema]) => `<h3 id="${name}"><a href="#${name}">${name}</a></h3>${jsonBlock("Schema", schema)}`,
  );
  return `<nav aria-label="Calls"><p><a href="/">← Berth</a></p>${nav.join("")}<h2><a href="#objects">objects</a></h2></nav>
<main><h1>Berth API</h1>
<p>Send <code>Authorization: Bearer &lt;JWT&gt;</code>, a token from <a href="/tokens">API tokens</a>. Errors are <code>application/problem+json</code>; their <code>code</code> is the
contract. The same as <a href="/openapi.json">OpenAPI 3.1</a>.</p>
<pre tabindex="0">${escapeHtml(`export BERTH=${address} TOKEN=eyJ…        # for the examples below`)}</pre>
${sections.join("\n")}
<h2 id="objects">Objects</h2>
${objects.join("\n")}</main>`;
}

/** The part of the page's address that names the call. */
const idOf = ({ method, path }: Route) =>
  `${method}${path}`
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replace(/-$/, "");
const navLine = (declared: Route) =>
  `<li><a href="#${idOf(declared)}"><b>${declared.method}</b> ${escapeHtml(declared.path)}</a></li>`;

interface Around {
  address: string;
  schemas: Json;
}

function describeCall(declared: Route, operation: OpenApi["paths"][string][string], around: Around): string {
  const who = { none: "no credential", user: "any user", admin: "admins" }[declared.auth];
  const codes = errorsOf(declared).map((code) => `${httpStatusOf(code)} ${code}`);
  const id = idOf(declared);
  return `<section><h3 id="${id}"><a href="#${id}"><code>${declared.method} ${escapeHtml(declared.path)}</code></a></h3>
<p>${escapeHtml(declared.summary)}. For ${who}. Success: ${statusOf(declared)}${codes.length > 0 ? `; errors: ${codes.join(", ")}` : ""}.</p>
${jsonBlock("Parameters", operation["parameters"])}${jsonBlock("Body", operation["requestBody"])}${jsonBlock("Answer", operation.responses[statusOf(declared)])}
<details><summary>Examples</summary>${examplesOf(declared, operation, around)
    .map((example) => `<pre tabindex="0">${escapeHtml(example)}</pre>`)
    .join("")}</details></section>`;
}

const examplesOf = (declared: Route, operation: Json, around: Around): string[] =>
  statusOf(declared) === 101
    ? [socketOf(declared)]
    : [curlOf(declared, operation, around), fetchOf(declared, operation, around)];

/** The address with placeholders as curl or TypeScript has them: those of the path, and of the query what must be there. */
function addressOf({ path }: Route, operation: Json, hole: (name: string) => string): string {
  const parameters = (operation["parameters"] ?? []) as { name: string; in: string; required: boolean }[];
  const needed = parameters.filter((one) => one.in === "query" && one.required);
  const query = needed.map(({ name }) => `${name}=${hole(name)}`).join("&");
  return path.replaceAll(/\{(\w+)\}/g, (_all, name: string) => hole(name)) + (query && `?${query}`);
}

const inTypeScript = (name: string) => `\${${name}}`;

/** What no call by HTTP opens. */
function socketOf(declared: Route): string {
  const url = `\`\${berth.replace("http", "ws")}${addressOf(declared, {}, inTypeScript)}\``;
  return `const asked = await fetch(\`\${berth}/v1/tickets\`, { method: "POST", headers: { authorization: \`Bearer \${token}\` } });
const { ticket } = await asked.json();
const socket = new WebSocket(${url}, ["berth.v1", \`ticket.\${ticket}\`]);`;
}

function curlOf(declared: Route, operation: Json, around: Around): string {
  const { method, auth, upload, media } = declared;
  const body = bodyOf(operation, around);
  const how = `${media === "text/event-stream" ? " -N" : ""}${method === "GET" ? "" : ` -X ${method}`}`;
  return [
    `curl -sS${how} "$BERTH${addressOf(declared, operation, (name) => `$${name}`)}"`,
    ...(auth === "none" ? [] : ['-H "Authorization: Bearer $TOKEN"']),
    ...(body === undefined ? [] : ["-H 'Content-Type: application/json'", `-d '${JSON.stringify(body)}'`]),
    ...(upload === undefined ? [] : ["--data-binary @FILE"]),
  ].join(" \\\n  ");
}

function fetchOf(declared: Route, operation: Json, around: Around): string {
  const { method, auth, upload, answer, media } = declared;
  const body = bodyOf(operation, around);
  const headers = [
    ...(auth === "none" ? [] : ["authorization: `Bearer ${token}`"]),
    ...(body === undefined ? [] : ['"content-type": "application/json"']),
  ];
  const lines = [
    ...(method === "GET" ? [] : [`method: "${method}"`]),
    ...(headers.length > 0 ? [`headers: { ${headers.join(", ")} }`] : []),
    ...(body === undefined ? [] : [`body: JSON.stringify(${JSON.stringify(body)})`]),
    ...(upload === undefined ? [] : ["body: bytes"]),
  ];
  const url = `\`\${berth}${addressOf(declared, operation, inTypeScript)}\``;
  const call = `const answer = await fetch(${url}${lines.length > 0 ? `, {\n  ${lines.join(",\n  ")},\n}` : ""});`;
  if (media) return `${call}\nconst result = await answer.${answer ? "blob" : "text"}();`;
  return answer ? `${call}\nconst result = await answer.json();` : call;
}

/** What must be in the body, made up by its schema; undefined where the call has none in JSON. */
function bodyOf(operation: Json, { schemas }: Around): unknown {
  const content = (operation["requestBody"] as { content?: Json } | undefined)?.content;
  const json = content?.["application/json"] as { schema: Json } | undefined;
  return json && exampleOf(json.schema, schemas);
}

function exampleOf(schema: Json, schemas: Json): unknown {
  if (typeof schema["$ref"] === "string") return exampleOf(schemas[schema["$ref"].split("/").at(-1)!] as Json, schemas);
  const choice = (schema["anyOf"] ?? schema["oneOf"]) as Json[] | undefined;
  if (choice) return exampleOf(choice[0]!, schemas);
  if ("const" in schema) return schema["const"];
  if ("default" in schema) return schema["default"];
  if (Array.isArray(schema["enum"])) return schema["enum"][0];
  if (schema["type"] === "array") return [exampleOf(schema["items"] as Json, schemas)];
  if (schema["type"] === "boolean") return true;
  if (schema["type"] === "integer" || schema["type"] === "number") return schema["minimum"] ?? 1;
  if (schema["type"] !== "object") return schema["type"] === "null" ? null : "…";
  const required = new Set((schema["required"] ?? []) as string[]);
  const all = Object.entries((schema["properties"] ?? {}) as Record<string, Json>);
  // Where nothing must be there, the first that may be shows what is meant.
  const shown =
    required.size > 0 ? all.filter(([name, value]) => required.has(name) && !("default" in value)) : all.slice(0, 1);
  return Object.fromEntries(shown.map(([name, value]) => [name, exampleOf(value, schemas)]));
}

function jsonBlock(title: string, value: unknown): string {
  if (value === undefined) return "";
  const text = escapeHtml(JSON.stringify(value, null, 2)).replaceAll(
    /#\/components\/schemas\/(\w+)/g,
    '<a href="#$1">$1</a>',
  );
  return `<details><summary>${escapeHtml(title)}</summary><pre tabindex="0">${text}</pre></details>`;
}
