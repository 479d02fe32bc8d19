/** `POST /v1/agents` over HTTP, against a bare Hono that parses the same body, stores it as durably and answers it. */
import { startBerth } from "../e2e/harness/harness.ts";
import { makeUsers } from "../e2e/harness/users.ts";
import { startBareServer } from "./lib/bare.ts";
import { interleave, median, percentile, printFigures, timed } from "./lib/figures.ts";

const users = 30;
const agentsEach = 10;

const berth = await startBerth();
const bare = await startBareServer();
try {
  const clients = await makeUsers(berth, "bench", users + 1);
  const racing = clients.pop()!;
  let made = 0;
  const create = () => clients[made % users]!.ok("POST", "/v1/agents", { name: `agent ${made++}`, runtime: "shell" });
  const headers = { "content-type": "application/json", authorization: `Bearer ${racing.token}` };
  const insert = () =>
    fetch(`${bare.url}/insert`, {
      method: "POST",
      headers,
      body: JSON.stringify({ name: "agent 1", runtime: "shell" }),
    }).then((answer) => answer.text());
  for (let warm = 0; warm < 30; warm++) await Promise.all([create(), insert()]);
  const rounds = users * agentsEach - made;
  const [ours, plain] = await interleave(
    rounds,
    () => timed(create),
    () => timed(insert),
  );
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, at) => racing.call("POST", "/v1/agents", { name: `racing ${at}` })),
  );
  const common = { bare: median(plain!), unit: "ms" };
  printFigures([
    { name: "create an agent, p50", ours: median(ours!), ...common, target: { bound: 5 } },
    {
      name: "create an agent, p50, as a ratio",
      ours: median(ours!),
      ...common,
      compare: "ratio",
      target: { bound: 1.6 },
    },
    { name: "create an agent, p99", ours: percentile(ours!, 99), bare: percentile(plain!, 99), unit: "ms" },
    {
      name: "of 50 racing creations refused by the limit",
      ours: answers.filter(({ body }) => body["code"] === "agent_limit").length,
      unit: "",
      target: { bound: 40, from: "below" },
    },
    {
      name: "of 50 racing creations made",
      ours: answers.filter(({ status }) => status === 201).length,
      unit: "",
      target: { bound: 10 },
    },
  ]);
} finally {
  bare.close();
  await berth.close();
}
