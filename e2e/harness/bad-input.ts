/** Bad input of every kind for every operation of an OpenAPI document: made from the document alone, so that a new route is covered by being declared. */

/** Stands in every bad value: no answer may have it in it. */
export const marker = "zqmarkerqz";

export interface BadCall {
  what: string;
  method: string;
  path: string;
  headers: Record<string, string>;
  body?: string | Uint8Array<ArrayBuffer>;
  /** It may fit after all (null for a field that may be null). */
  mayFit?: boolean;
}
type Json = Record<string, unknown>;
interface Parameter {
  name: string;
  in: "path" | "query";
  schema: Json;
}
interface Operation {
  parameters?: Parameter[];
  requestBody?: { content: Record<string, { schema: Json }> };
}
export interface OpenApiDocument {
  paths: Record<string, Record<string, Operation>>;
}

const json = { "content-type": "application/json" };
const oddIds = [
  "..%2F..%2Fetc%2Fpasswd",
  "%00",
  "a%20b",
  "%F0%9F%92%A5",
  "%ff%fe",
  "x".repeat(41),
  "%27%20OR%201%3D1--",
  `${marker}.`,
  "a%2Fb",
];
const oddValues: unknown[] = [
  null,
  true,
  -1,
  1.5,
  Number.MAX_VALUE,
  marker.repeat(10_000),
  [marker],
  { [`${marker}!`]: marker },
  "\0",
  "\ud800",
  "",
];

/** The calls, each of which must be refused unless it may fit. */
export function badCalls({ paths }: OpenApiDocument): BadCall[] {
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).flatMap(([verb, operation]) => {
      const method = verb.toUpperCase();
      const fill = (id: string) => path.replace(/\{\w+\}/g, id);
      const name = `${method} ${path}`;
      return [
        ...badIds(name, method, path, operation, fill),
        ...badQueries(name, method, operation, fill("agt_none")),
        ...badBodies(operation).map((bad) => ({
          ...bad,
          what: `${name}: ${bad.what}`,
          method,
          path: fill("agt_none"),
        })),
      ];
    }),
  );
}

function badIds(
  name: string,
  method: string,
  path: string,
  operation: Operation,
  fill: (id: string) => string,
): BadCall[] {
  if (!path.includes("{")) return [];
  const body = operation.requestBody && { body: "{}" };
  return oddIds.map((id) => ({
    what: `${name}: id ${id.slice(0, 20)}`,
    method,
    path: fill(id),
    headers: body ? json : {},
    ...body,
  }));
}

function badQueries(name: string, method: string, { parameters = [] }: Operation, path: string): BadCall[] {
  const ofNumbers = ["-1", "1.5", "abc", "1e99", marker, "%00"];
  const ofTexts = [`${marker}!!`, "%00", "%ff", "..%2F"];
  return parameters
    .filter((parameter) => parameter.in === "query")
    .flatMap((parameter) =>
      (parameter.schema["type"] === "string" ? ofTexts : ofNumbers).map((value) => ({
        what: `${name}: ?${parameter.name}=${value}`,
        method,
        path: `${path}?${parameter.name}=${value}`,
        headers: {},
        // A text to look for may be any.
        mayFit: parameter.schema["type"] === "string" && parameter.name !== "cursor",
      })),
    );
}

type BadBody = Pick<BadCall, "what" | "headers" | "body" | "mayFit">;

function badBodies(operation: Operation): BadBody[] {
  const schema = operation.requestBody?.content["application/json"]?.schema;
  if (!schema) return [];
  const valid = sampleOf(schema);
  const given = (what: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = json) => ({
    what,
    headers,
    body,
  });
  const text = JSON.stringify(valid);
  return [
    given("no JSON", `{"${marker}`),
    given("an empty body", ""),
    given("bad UTF-8", new Uint8Array([0x22, 0xff, 0xfe, 0x22])),
    given("another content type", text, { "content-type": "text/plain" }),
    given("a form", `name=${marker}`, { "content-type": "application/x-www-form-urlencoded" }),
    given("over 4 MiB", JSON.stringify({ name: "x".repeat(2 ** 22 + 1) })),
    given("deep arrays", "[".repeat(100_000) + "]".repeat(100_000)),
    given("deep objects", '{"a":'.repeat(50_000) + "1" + "}".repeat(50_000)),
    ...["null", "[]", "1", `"${marker}"`, "true"].map((body) => given(`the JSON ${body.slice(0, 4)}`, body)),
    ...badFields(schema, valid as Json),
  ];
}

function badFields(schema: Json, valid: Json): BadBody[] {
  const given = (what: string, body: Json) => ({ what, headers: json, body: JSON.stringify(body) });
  // The path of an error names a field, unless no field could have that name.
  const unknown = ["constructor", "toString", "isAdmin", `${marker}!`, "x".repeat(1000)].map((name) =>
    given(`the field ${name}`, { ...valid, [name]: { [marker]: 1 } }),
  );
  const prototype = {
    what: "the field __proto__",
    headers: json,
    body: JSON.stringify({ ...valid, zz: 1 }).replace('"zz":1', `"__proto__":{"${marker}":1}`),
  };
  const required = (schema["required"] ?? []) as string[];
  const missing = required.map((name) =>
    given(`no ${name}`, Object.fromEntries(Object.entries(valid).filter(([key]) => key !== name))),
  );
  const odd = Object.keys(valid).flatMap((name) =>
    oddValues.map((value, at) => ({
      ...given(`${name} as odd value ${at}`, { ...valid, [name]: value }),
      mayFit: true,
    })),
  );
  return [...unknown, prototype, ...missing, ...odd];
}

/** A value that fits the schema, near enough. */
function sampleOf(schema: Json): unknown {
  const options = (schema["anyOf"] ?? schema["oneOf"]) as Json[] | undefined;
  if (options) return sampleOf(options[0]!);
  if (schema["enum"]) return (schema["enum"] as unknown[])[0];
  if (schema["properties"])
    return Object.fromEntries(
      Object.entries(schema["properties"] as Record<string, Json>).map(([name, property]) => [
        name,
        sampleOf(property),
      ]),
    );
  if (schema["type"] === "object") return { KEY: "value" };
  if (schema["type"] === "integer" || schema["type"] === "number") return schema["minimum"] ?? 1;
  return schema["type"] === "boolean" ? true : "sample";
}
