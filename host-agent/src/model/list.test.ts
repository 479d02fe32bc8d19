import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { createModelList } from "./list.ts";

let server: Server;
afterEach(() => server.close());

async function serve(answer: RequestListener) {
  const asked: { url: string | undefined; key: string | string[] | undefined }[] = [];
  server = createServer((req, res) => {
    asked.push({ url: req.url, key: req.headers["x-api-key"] });
    answer(req, res);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { asked, read: createModelList({ of: () => ({ url, apiKey: "sk-upstream" }) }) };
}

test("names the API's models, asked for once with the host's key however many ask", async () => {
  const data = [
    { id: "claude-one", display_name: "Claude One" },
    { id: "two" },
    { id: 3 },
    null,
    { id: "x".repeat(101) },
  ];
  const { asked, read } = await serve((_, res) => res.end(JSON.stringify({ data })));
  const models = [
    { id: "claude-one", name: "Claude One" },
    { id: "two", name: "two" },
  ];
  expect(await Promise.all([read(), read()])).toEqual([models, models]);
  expect(await read()).toEqual(models);
  expect(asked).toEqual([{ url: "/v1/models?limit=200", key: "sk-upstream" }]);
});

test("shows no key, whatever the API names its models", async () => {
  const { read } = await serve((_, res) =>
    res.end(JSON.stringify({ data: [{ id: "of sk-upstream", display_name: "sk-upstream" }] })),
  );
  expect(await read()).toEqual([{ id: "of ***********", name: "***********" }]);
});

const big = JSON.stringify({ data: Array.from({ length: 9000 }, (_, at) => ({ id: `${at}`, pad: "x".repeat(30) })) });
test.each<[string, RequestListener]>([
  ["an error", (_, res) => res.writeHead(401).end('{"data": [{"id": "x"}]}')],
  ["no JSON", (_, res) => res.end("<html>")],
  ["another shape", (_, res) => res.end('{"data": {"id": "x"}}')],
  ["over 256 KB", (_, res) => res.end(big)],
  [
    "a redirect",
    (req, res) =>
      req.url === "/x" ? res.end('{"data": [{"id": "x"}]}') : res.writeHead(302, { location: "/x" }).end(),
  ],
  ["a cut connection", (_, res) => res.destroy()],
])("%s is no models, and no error", async (_, answer) => {
  const { read } = await serve(answer);
  expect(await read()).toEqual([]);
});
