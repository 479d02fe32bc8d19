/** The OpenAPI 3.1 document, made from the same declarations that register the routes. */
import { problemSchema, httpStatusOf, type ErrorCode } from "@berth/shared/errors";
import { z } from "zod";
import { sessionCookie } from "./cookies.ts";
import { paramsOf, statusOf, type Route } from "./route.ts";

type Json = Record<string, unknown>;
interface Operation extends Json {
  responses: Json;
}
export interface OpenApi extends Json {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Json; securitySchemes: Json };
}

/** Describes the routes; `serverUrl` is where they are served. */
export function describeRoutes(routes: Route[], serverUrl: string): OpenApi {
  const schemas: Json = {};
  const toSchema = createSchemaWriter(schemas);
  schemas["Problem"] = toSchema(problemSchema, "output");
  const paths: OpenApi["paths"] = {};
  for (const route of routes) (paths[route.path] ??= {})[route.method.toLowerCase()] = describeRoute(route, toSchema);
  return {
    openapi: "3.1.0",
    info: {
      title: "Berth",
      version: "1",
      description: "Coding agents in one container for each user: agents, runs, workspaces.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: serverUrl }],
    paths,
    components: {
      schemas,
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" },
        session: { type: "apiKey", in: "cookie", name: sessionCookie.name(serverUrl) },
      },
    },
  };
}

/** The codes that a route can answer: its own, and those that follow from what it takes. */
export function errorsOf(route: Route): ErrorCode[] {
  const codes = new Set<ErrorCode>(route.errors);
  const params = paramsOf(route);
  if (params || route.query || route.headers || route.body) codes.add("invalid_request");
  if (params) codes.add("not_found");
  if (route.body) codes.add("payload_too_large");
  if (route.auth !== "none") codes.add("unauthenticated");
  if (route.auth === "admin") codes.add("forbidden");
  if (route.limit || route.bodyMaxBytes !== undefined) codes.add("rate_limited");
  if (route.burst) codes.add("host_unavailable");
  return [...codes].sort((a, b) => httpStatusOf(a) - httpStatusOf(b));
}

type SchemaWriter = (schema: z.ZodType, side: "input" | "output") => Json;

/** Writes schemas as JSON Schema; those that carry an id (`.meta({ id: "Run" })`) go into `components` and are referred to. */
function createSchemaWriter(components: Json): SchemaWriter {
  return (schema, io) => {
    const written: Json = z.toJSONSchema(z.object({ it: schema }), { io, unrepresentable: "any" });
    const relocated = JSON.parse(JSON.stringify(written).replaceAll('"#/$defs/', '"#/components/schemas/')) as {
      $defs?: Json;
      properties: { it: Json };
    };
    for (const [name, named] of Object.entries(relocated.$defs ?? {})) components[name] = withoutId(named as Json);
    return relocated.properties.it;
  };
}

function withoutId({ id: _id, ...schema }: Json): Json {
  return schema;
}

function describeRoute(route: Route, toSchema: SchemaWriter): Operation {
  const parameters = [
    ...describeParameters(paramsOf(route), "path", toSchema),
    ...describeParameters(route.query, "query", toSchema),
    ...describeParameters(route.headers, "header", toSchema),
  ];
  return {
    operationId: operationId(route),
    summary: route.summary,
    tags: [route.path.split("/")[route.path.startsWith("/v1/") ? 2 : 1]!],
    security: route.auth === "none" ? [] : [{ bearer: [] }, { session: [] }],
    ...(parameters.length > 0 && { parameters }),
    ...(route.body && {
      requestBody: { required: route.isBodyOptional !== true, content: jsonContent(toSchema(route.body, "input")) },
    }),
    ...(route.upload && { requestBody: { content: { [route.upload]: {} } } }),
    responses: describeResponses(route, toSchema),
  };
}

function operationId({ method, path }: Route): string {
  return method.toLowerCase() + path.replace(/[^A-Za-z0-9]+(\w?)/g, (_all, next: string) => next.toUpperCase());
}

function describeParameters(
  schema: z.ZodType | undefined,
  place: "path" | "query" | "header",
  toSchema: SchemaWriter,
): Json[] {
  if (!schema) return [];
  const written = toSchema(schema, "input") as { properties: Record<string, Json>; required?: string[] };
  return Object.entries(written.properties).map(([name, property]) => ({
    name,
    in: place,
    required: place === "path" || (written.required ?? []).includes(name),
    schema: property,
  }));
}

function describeResponses(route: Route, toSchema: SchemaWriter): Json {
  const content = {
    ...(route.answer && jsonContent(toSchema(route.answer, "output"))),
    ...mediaContent([route.media ?? []].flat()),
  };
  const responses: Json = {
    [statusOf(route)]: { description: route.summary, ...(Object.keys(content).length > 0 && { content }) },
  };
  for (const { status, when, media } of [route.otherwise ?? []].flat())
    responses[status] = { description: when, content: media ? mediaContent(media) : content };
  const problem = { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } };
  for (const code of errorsOf(route)) {
    const status = httpStatusOf(code);
    const earlier = responses[status] as { description: string } | undefined;
    responses[status] = { description: earlier ? `${earlier.description}, ${code}` : code, content: problem };
  }
  return responses;
}

const mediaContent = (types: string[]): Json =>
  Object.fromEntries(types.map((type) => [type, { schema: { type: "string" } }]));

function jsonContent(schema: Json): Json {
  return { "application/json": { schema } };
}
