import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../../test/app.ts";
import { answerJson, joinTestHost, type TestHost } from "../../test/host.ts";

let gateway: TestApp;
let user: Awaited<ReturnType<TestApp["addUser"]>>;
let host: TestHost;
beforeAll(async () => {
  gateway = await createTestApp();
  user = await gateway.addUser("chooser");
});
afterAll(async () => {
  await host.close();
  await gateway.close();
});

const ask = async () => {
  const answer = await gateway.call("GET", "/v1/models", { token: user.token });
  return [answer.status, answer.json().items];
};

test("models are those that any live host names, also before the user has one; without an answer there are none", async () => {
  expect(await ask()).toEqual([200, []]);
  host = await joinTestHost(gateway);
  const items = [{ id: "claude-one", name: "Claude One" }];
  host.handle = (_, response) => answerJson(response, 200, { items });
  expect(await ask()).toEqual([200, items]);
  expect(host.requests.at(-1)).toMatchObject({ method: "GET", path: "/v1/models" });
  const problem = { type: "about:blank", title: "-", status: 404, detail: "-", code: "not_found", requestId: "x" };
  // As a host of an earlier version.
  host.handle = (_, response) => answerJson(response, 404, problem);
  expect(await ask()).toEqual([200, []]);
  host.handle = (_, response) => answerJson(response, 200, { items: "many" });
  expect(await ask()).toEqual([200, []]);
});

test.each([200, 404])("an answer of %d that never comes whole is none, within the call's deadline", async (status) => {
  const left = new Promise((resolve) => {
    host.handle = ({ incoming }, response) => {
      incoming.socket.once("close", resolve);
      response.writeHead(status, { "content-type": "application/json", "content-length": "500" }).flushHeaders();
    };
  });
  expect(await ask()).toEqual([200, []]);
  await left;
});
