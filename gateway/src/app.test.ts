import { Validator } from "@seriousme/openapi-schema-validator";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../test/app.ts";

let gateway: TestApp;
let token: string;
beforeAll(async () => {
  gateway = await createTestApp();
  ({ token } = await gateway.addUser("caller"));
});
afterAll(() => gateway.close());

const post = (body: unknown, headers: Record<string, string> = {}) =>
  gateway.call("POST", "/v1/agents", { token, body, headers });

describe("every answer", () => {
  test.each([
    ["GET", "/v1/nothing"],
    ["DELETE", "/v1/me"],
    ["GET", "/%00"],
    ["GET", "/v1/agents/"],
  ])("%s %s is a not_found problem", async (method, path) => {
    const answer = await gateway.call(method, path, { token });
    expect(answer.status).toBe(404);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(Object.keys(answer.json())).toEqual(["type", "title", "status", "detail", "code", "requestId"]);
  });

  test("carries a request id of our own and security headers", async () => {
    const answer = await gateway.call("GET", "/healthz", { headers: { "x-request-id": "theirs" } });
    expect(answer.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
    expect(answer.headers.get("cross-origin-resource-policy")).toBe("same-origin");
    expect(answer.headers.get("content-security-policy")).toContain("default-src 'none'");
  });

  test("is one line in the log, without credential and body", async () => {
    gateway.lines.length = 0;
    const answer = await post({ name: "confidential" });
    expect(gateway.lines.map((line) => JSON.parse(line))).toMatchObject([
      {
        level: "info",
        event: "http",
        method: "POST",
        route: "/v1/agents",
        status: 201,
        requestId: answer.headers.get("x-request-id"),
      },
    ]);
    expect(gateway.lines[0]).not.toMatch(/confidential|eyJ/);
  });

  test("a defect is internal and tells nothing of its cause", async () => {
    const broken = await createTestApp();
    const user = await broken.addUser("unlucky");
    await broken.deps.db.run(sql`alter table agents rename to gone`);
    const answer = await broken.call("GET", "/v1/agents", { token: user.token });
    expect(answer.json()).toMatchObject({ status: 500, code: "internal" });
    expect(answer.text).not.toContain("no such table");
    expect(broken.lines.join("\n")).toContain("no such table");
    expect(broken.lines.join("\n")).not.toContain(`${user.id},`);
    // Statements are asked for their plans.
    await broken.deps.db.run(sql`alter table gone rename to agents`);
    await broken.close();
  });
});

describe("bodies", () => {
  test.each([
    ["broken JSON", '{"name":', {}],
    ["an empty body", "", {}],
    ["another content type", '{"name":"x"}', { "content-type": "text/plain" }],
    ["a content type that only begins so", '{"name":"x"}', { "content-type": "application/jsonp" }],
  ])("%s is refused", async (_what, body, headers) => {
    const answer = await post(body, headers);
    const message = expect.stringMatching(/^The body [^\n]+\.$/);
    expect(answer.json()).toMatchObject({ status: 400, code: "invalid_request", errors: [{ path: "", message }] });
  });

  test.each([
    [{ name: "x", nmae: 1, "<b>": 2 }, ["nmae", "?"], "is not a known field"],
    [{ name: "x", instructions: 1 }, ["instructions"], "Invalid input: expected string, received number"],
  ])("%j is refused by the names of its fields, and no value is told", async (body, paths, message) => {
    const { errors, detail } = (await post(body)).json();
    expect(errors).toEqual(paths.map((path) => ({ path, message })));
    expect(detail).toBe(`The body does not fit: ${paths[0]}: ${message}.`);
  });

  test.each([
    ["1A", "must be a name of letters, digits and _"],
    ["HOME", "is a name that Berth sets itself"],
  ])("a variable cannot be named %s, and the reason is told", async (path, message) => {
    const answer = await gateway.call("PUT", "/v1/agents/agt_x/env", { token, body: { [path]: "v" } });
    expect(answer.json()).toMatchObject({ code: "invalid_request", errors: [{ path, message }] });
  });

  test("bytes that are no UTF-8 are refused, never replaced", async () => {
    const body = Buffer.concat([Buffer.from('{"name":"'), Buffer.from([0xff]), Buffer.from('"}')]);
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    expect((await gateway.app.request("/v1/agents", { method: "POST", headers, body })).status).toBe(400);
  });

  test("a body has the size of what its route takes, and is not read for who may not call it", async () => {
    const send = async (path: string, bytes: number, headers: Record<string, string>) => {
      const body = JSON.stringify({ x: "y".repeat(bytes - 8) });
      const all = { ...headers, "content-type": "application/json" };
      const ask = async () => gateway.app.request(path, { method: "POST", headers: all, body });
      // The proxy before workerd may lose the connection of a body that nobody reads, and says so in words of its own.
      let text = await (await ask()).text();
      for (let at = 0; at < 5 && text.startsWith("Error: Network connection lost"); at++)
        text = await (await ask()).text();
      return (JSON.parse(text) as { code: string }).code;
    };
    const bearer = { authorization: `Bearer ${token}` };
    const told = await Promise.all([
      send("/session", 8192, {}),
      send("/session", 8193, {}),
      send("/internal/hosts/join", 8193, {}),
      send("/v1/tokens", 65_536, bearer),
      send("/v1/tokens", 65_537, bearer),
      send("/v1/tokens", 65_537, {}),
      send("/v1/agents", 524_288, bearer),
      send("/v1/agents", 524_289, bearer),
    ]);
    const tooLarge = "payload_too_large";
    const fits = "invalid_request";
    expect(told).toEqual([fits, tooLarge, tooLarge, fits, tooLarge, "unauthenticated", fits, tooLarge]);
  });

  test("a body over its route's size is refused, with and without its length said", async () => {
    const { url } = await gateway.listen();
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const body = JSON.stringify({ name: "x".repeat(524_288) });
    const said = await fetch(`${url}/v1/agents`, { method: "POST", headers, body });
    expect([said.status, (await said.json()).code]).toEqual([413, "payload_too_large"]);
    const stream = new Blob([body]).stream();
    const unsaid = await fetch(`${url}/v1/agents`, {
      method: "POST",
      headers,
      body: stream,
      duplex: "half",
    } as RequestInit);
    expect([unsaid.status, (await unsaid.json()).code]).toEqual([413, "payload_too_large"]);
    const path = `${url}/v1/agents`;
    for (let size = 524_288 - 4; size <= 524_288 + 4; size++) {
      const sized = '{"name":'.padEnd(size - '"body"}'.length) + '"body"}';
      // Each of another user: one may send a few long bodies at once.
      const sender = { ...headers, authorization: `Bearer ${(await gateway.addUser(`user ${size}`)).token}` };
      const { status } = await fetch(path, { method: "POST", headers: sender, body: sized });
      expect([size, status]).toEqual([size, size > 524_288 ? 413 : 201]);
    }
  });
});

describe("the contract", () => {
  test("is valid OpenAPI 3.1 and names every endpoint with its errors", async () => {
    const document = (await gateway.call("GET", "/openapi.json")).json();
    const validator = new Validator();
    expect(await validator.validate(structuredClone(document))).toMatchObject({ valid: true });
    expect(validator.version).toBe("3.1");
    const start = document.paths["/v1/agents/{id}/runs"].post;
    expect(Object.keys(start.responses)).toEqual(["202", "400", "401", "404", "409", "413", "429", "503"]);
    expect(start.responses[202].content["application/json"].schema).toEqual({ $ref: "#/components/schemas/Run" });
    expect(start.security).toEqual([{ bearer: [] }, { session: [] }]);
    expect(document.components.schemas.Agent.required).toContain("envKeys");
    expect(document.paths["/internal/hosts/report"]).toBeUndefined();
    const headersOf = ({ parameters }: { parameters: { name: string; in: string }[] }) =>
      parameters.filter((one) => one.in === "header").map(({ name }) => name);
    expect(headersOf(start)).toEqual(["Idempotency-Key"]);
    expect(headersOf(document.paths["/v1/runs/{id}/events"].get)).toEqual(["Last-Event-ID"]);
    expect(Object.keys(document.paths["/readyz"].get.responses)).toEqual(["200", "503"]);
    const { get: read, put } = document.paths["/v1/agents/{id}/files/{path}"];
    expect([headersOf(read), headersOf(put)]).toEqual([
      ["Range", "If-Range"],
      ["If-Match", "If-None-Match"],
    ]);
    const typesOf = (status: number) => Object.keys(read.responses[status].content);
    expect([typesOf(206), typesOf(416)]).toEqual([["application/octet-stream"], []]);
    expect(typesOf(200)).toContain("application/zip");
    const { name } = document.paths["/v1/agents"].post.requestBody.content["application/json"].schema.properties;
    expect(name).toEqual({ type: "string", minLength: 1, maxLength: 64 });
  });

  test("can be read as a page that loads nothing from elsewhere", async () => {
    const answer = await gateway.call("GET", "/docs");
    expect(answer.text).toContain("<code>POST /v1/agents/{id}/runs</code>");
    expect(answer.text).not.toMatch(/<script|https?:\/\/(?!localhost|json-schema)/);
    expect(answer.headers.get("content-security-policy")).not.toMatch(/unsafe|http/);
  });

  test("leads from each call to its place on the page, and back to the dashboard", async () => {
    const { text } = await gateway.call("GET", "/docs");
    const ids = [...text.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(ids).toHaveLength(new Set(ids).size);
    const links = [...text.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id);
    expect(links).toContain("post-v1-agents-id-runs");
    expect(links.filter((id) => !ids.includes(id))).toEqual([]);
    expect(text).toContain('<a href="/">');
  });

  test("shows how each call is made by curl and in TypeScript, with a body that fits", async () => {
    const { text } = await gateway.call("GET", "/docs");
    const plain = text.replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)));
    const section = plain.slice(plain.indexOf('id="post-v1-agents"')).split("</section>")[0]!;
    const [, body] = /-d '(.*)'/.exec(section) ?? [];
    const user = await gateway.addUser("reader");
    const made = await gateway.call("POST", "/v1/agents", { token: user.token, body });
    expect([body, made.status]).toEqual(['{"name":"…"}', 201]);
    expect(section).toContain("await fetch(`${berth}/v1/agents`, {");
    expect(plain).toContain('curl -sS "$BERTH/v1/runs/$id"');
    expect(plain).toContain('curl -sS "$BERTH/v1/search?q=$q"');
    expect(plain).toContain('curl -sS -N "$BERTH/v1/runs/$id/events"');
    expect(plain).toContain('new WebSocket(`${berth.replace("http", "ws")}/v1/agents/${id}/terminal`, ["berth.v1", ');
    expect(plain).not.toMatch(/curl [^\n]*\/(terminal|connect)"/);
  });

  test("the first page says what to do where the dashboard is not built", async () => {
    expect((await gateway.call("GET", "/")).text).toContain("npm start");
  });
});
