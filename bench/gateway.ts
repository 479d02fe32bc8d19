/** Calls a second that the gateway answers: an authenticated `GET /v1/agents` against a bare Hono with the same bytes, over 32 kept connections. */
import { startBerth } from "../e2e/harness/harness.ts";
import { startBareServer } from "./lib/bare.ts";
import { type Bound, load } from "./lib/load.ts";
import { interleave, median, printFigures } from "./lib/figures.ts";

const rounds = 5;

const berth = await startBerth();
const bare = await startBareServer();
try {
  const client = await berth.client("bench");
  for (let at = 0; at < 3; at++) await client.createAgent(`agent ${at}`);
  const headers = { authorization: `Bearer ${client.token}` };
  const answer = await fetch(`${berth.url}/v1/agents`, { headers: { ...headers, "accept-encoding": "identity" } });
  const ofTheServer = new Set(["connection", "content-length", "date", "keep-alive"]);
  const same = {
    value: await answer.json(),
    headers: Object.fromEntries([...answer.headers].filter(([name]) => !ofTheServer.has(name))),
  };
  await fetch(`${bare.url}/same`, { method: "PUT", body: JSON.stringify(same) });
  const list = (most?: Bound) => load("GET", `${berth.url}/v1/agents`, () => ({ headers }), most);
  const plain = (most?: Bound) => load("GET", `${bare.url}/same`, () => ({ headers }), most);
  // Until both are compiled: on a busy machine a round by time is too few calls for that.
  const warm = { ms: 60_000, answers: 20_000 };
  await interleave(
    1,
    () => list(warm),
    () => plain(warm),
  );
  const [ours, theirs] = (
    await interleave(
      rounds,
      () => list(),
      () => plain(),
    )
  ).map(median);
  printFigures([
    {
      name: "authenticated GET /v1/agents a second",
      ours: ours!,
      bare: theirs!,
      unit: "/s",
      compare: "ratio",
      target: { bound: 0.5, from: "below" },
    },
  ]);
} finally {
  bare.close();
  await berth.close();
}
