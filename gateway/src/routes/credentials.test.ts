import { afterEach, beforeEach, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { answerJson, joinTestHost, type TestHost } from "../../test/host.ts";

let gateway: TestApp;
let host: TestHost;
let user: Awaited<ReturnType<TestApp["addUser"]>>;
beforeEach(async () => {
  gateway = await createTestApp();
  host = await joinTestHost(gateway);
  user = await gateway.addUser("ada");
});
afterEach(async () => {
  await gateway.close();
  await host.close();
});

const call = (method: string, path: string, body?: unknown) =>
  gateway.call(method, path, { token: user.token, ...(body !== undefined && { body }) });
const uses = { createdAt: "2026-01-01T00:00:00.000Z", lastUsedAt: null };
const shown = {
  "/v1/git-credentials/git.example.com": {
    kept: { host: "git.example.com", username: "ada", readOnly: false, repositories: null, forge: null, ...uses },
    body: { username: "ada", token: "tok_12345678" },
  },
  "/v1/secrets/tracker": {
    kept: { name: "tracker", hosts: ["api.example.com"], header: "X-Key: {}", methods: ["GET"], paths: ["/"], ...uses },
    body: { value: "val_12345678", hosts: ["api.example.com"], header: "X-Key: {}", methods: ["GET"] },
  },
};
const actionsOf = async () => {
  const boss = await gateway.addUser("boss", "admin");
  const audit = (await gateway.call("GET", "/v1/admin/audit", { token: boss.token })).json();
  return (audit.items as { action: string; target: object }[]).map(({ action, target }) => ({ action, target }));
};

test("before a user has a host there is nothing to show and nothing to remove", async () => {
  for (const list of ["/v1/git-credentials", "/v1/secrets"])
    expect((await call("GET", list)).json()).toEqual({ items: [], nextCursor: null });
  for (const path of Object.keys(shown)) expect((await call("DELETE", path)).status).toBe(404);
  expect(host.requests).toEqual([]);
});

test.each(Object.entries(shown))(
  "%s passes to the user's host whole, and stays there alone",
  async (path, { kept, body }) => {
    host.handle = ({ method }, response) =>
      method === "DELETE" ? void response.writeHead(204).end() : answerJson(response, 200, kept);
    const put = await call("PUT", path, body);
    expect([put.status, put.json()]).toEqual([200, kept]);
    const [{ path: called, body: sent }] = host.requests as [(typeof host.requests)[0]];
    expect([called, JSON.parse(sent)]).toEqual([path, expect.objectContaining(body)]);
    expect((await call("DELETE", path)).status).toBe(204);
    const audit = await actionsOf();
    const noun = path.includes("git") ? "git_credential" : "secret";
    const target = { id: path.split("/").at(-1), name: null };
    expect(audit).toEqual(
      expect.arrayContaining([
        { action: `${noun}.set`, target },
        { action: `${noun}.deleted`, target },
      ]),
    );
    expect(JSON.stringify(audit)).not.toMatch(/(tok|val)_12345678/);
  },
);

test.each([
  ["/v1/git-credentials/localhost", { username: "a", token: "tok_12345678" }],
  ["/v1/git-credentials/10.0.0.1", { username: "a", token: "tok_12345678" }],
  ["/v1/git-credentials/git.example.com", { username: "a", token: "short" }],
  ["/v1/git-credentials/git.example.com", { username: "a:b", token: "tok_12345678" }],
  ["/v1/git-credentials/git.example.com", { username: "a", token: "two\nlines of text" }],
  ["/v1/git-credentials/git.example.com", { username: "a", token: "tok_12345678", repositories: ["a/../b"] }],
  ["/v1/git-credentials/git.example.com", { username: "a", token: "tok_12345678", repositories: ["a/\0b"] }],
  ["/v1/git-credentials/git.example.com", { username: "a", token: "tok_12345678", repositories: [] }],
  ["/v1/secrets/Two.Labels", { value: "val_12345678", hosts: ["api.example.com"] }],
  ["/v1/secrets/x", { value: "val_12345678", hosts: [] }],
  ["/v1/secrets/x", { value: "val_12345678", hosts: ["api.example.com/path"] }],
  ["/v1/secrets/x", { value: "val_12345678", hosts: ["api.example.com"], header: "Authorization: Bearer" }],
  ["/v1/secrets/x", { value: "val_12345678", hosts: ["api.example.com"], header: "Host: {}" }],
  ["/v1/secrets/x", { value: "val_12345678", hosts: ["api.example.com"], header: "A: {}\r\nB: x" }],
  ["/v1/secrets/x", { value: "val_12345678", hosts: ["api.example.com"], paths: ["/a/../b"] }],
  ["/v1/secrets/x", { value: "val_12345678", hosts: ["api.example.com"], methods: ["CONNECT"] }],
])("%s with what does not fit is refused here, without the value: %j", async (path, body) => {
  const { status, text } = await call("PUT", path, body);
  expect([status, text]).toEqual([400, expect.not.stringMatching(/(tok|val)_12345678/)]);
  expect(host.requests).toEqual([]);
});

test("a pull request is the host's to open, and is written down", async () => {
  host.handle = (_request, response) => answerJson(response, 201, { url: "https://git.example.com/1", number: 1 });
  const agent = (await call("POST", "/v1/agents", { name: "coder" })).json();
  const opened = await call("POST", `/v1/agents/${agent.id}/pull-requests`, { title: "Mend it", base: "main" });
  expect([opened.status, opened.json()]).toEqual([201, { url: "https://git.example.com/1", number: 1 }]);
  expect(await actionsOf()).toContainEqual({
    action: "pull_request.opened",
    target: { id: agent.id, name: "coder" },
  });
});

test("who somebody is to git is written down when it changes", async () => {
  await call("PATCH", "/v1/me", { gitName: "Ada" });
  expect(await actionsOf()).toContainEqual({ action: "user.git_identity_set", target: { id: user.id, name: "ada" } });
});
