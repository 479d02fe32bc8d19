/** Users, many in this process: they call at a fixed rate, however slow the answers are (open loop). Told what to do over IPC. */
import { Agent, request } from "node:http";
import { percentile } from "../lib/figures.ts";
import { agentId, type World } from "./fill.ts";
import { serveParent } from "./parent.ts";

const agent = new Agent({ keepAlive: true, maxSockets: 128 });
const random = (below: number) => Math.floor(Math.random() * below);

export interface Call {
  name: string;
  /** How many of all calls are of this kind, beside the others' weights. */
  weight: number;
  method?: "POST";
  /** `AGENT` and `N` (a number) are filled in. */
  path: string;
  body?: unknown;
}

/** Times are of calls that did what was asked; `failed` counts the others by name and status. */
export interface Told {
  calls: number;
  failed: Record<string, number>;
  p50: number;
  p99: number;
  max: number;
  byName: Record<string, { calls: number; p50: number; p99: number; max: number }>;
}

/** Colleagues share the address of their office, a hundred of them each; of loopback all is this machine's. */
const addressOf = (user: number) => `127.2.${Math.floor(user / 100) % 250}.${Math.floor(user / 25_000) + 1}`;

/** Status and text of an answer. */
function call(
  url: string,
  token: string,
  { method, path, body }: Call,
  user: number,
): Promise<{ status: number; text: string }> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = {
    authorization: `Bearer ${token}`,
    ...(text && { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
  };
  const address = url + path.replace("AGENT", agentId(user)).replace("N", String(random(101)));
  return new Promise((resolve, reject) => {
    const options = { agent, method: method ?? "GET", headers, localAddress: addressOf(user) };
    const sent = request(address, options, (response) => {
      let read = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (read += chunk));
      response.on("end", () => resolve({ status: response.statusCode!, text: read }));
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(text);
  });
}

interface Load {
  url: string;
  world: World;
  calls: Call[];
  perSecond: number;
  seconds: number;
  /** The idle users, each once at most, instead of those who are online. */
  ofIdle?: boolean;
}

/** Each call is timed from when it was due, so that one that waits for another counts what it waited. */
async function load({ url, world, calls, perSecond, seconds, ofIdle = false }: Load): Promise<Told> {
  const weights = calls.flatMap((one) => Array.from({ length: one.weight }, () => one));
  const times = new Map(calls.map(({ name }) => [name, [] as number[]]));
  const failed: Record<string, number> = {};
  const all: Promise<void>[] = [];
  const beganAt = performance.now();
  const count = Math.min(perSecond * seconds, ofIdle ? (world.idle ?? 0) : Number.POSITIVE_INFINITY);
  for (let at = 0; at < count; at++) {
    const dueAt = beganAt + (at * 1000) / perSecond;
    if (dueAt > performance.now()) await new Promise((resolve) => setTimeout(resolve, dueAt - performance.now()));
    const one = weights[random(weights.length)]!;
    const user = ofIdle ? world.online + at : random(world.online);
    all.push(
      call(url, world.tokens[user]!, one, user).then(
        ({ status }) => {
          if (status < 300) times.get(one.name)!.push(performance.now() - dueAt);
          else failed[`${one.name} ${status}`] = (failed[`${one.name} ${status}`] ?? 0) + 1;
        },
        (error: Error) => void (failed[error.message] = (failed[error.message] ?? 0) + 1),
      ),
    );
  }
  await Promise.all(all);
  const tell = (some: number[]) => ({
    calls: some.length,
    p50: percentile(some, 50),
    p99: percentile(some, 99),
    max: percentile(some, 100),
  });
  return {
    ...tell([...times.values()].flat()),
    failed,
    byName: Object.fromEntries([...times].map(([name, some]) => [name, tell(some)])),
  };
}

serveParent({
  load,
  /** One after the other, one of each token. */
  async inTurn({
    url,
    tokens,
    one,
    agents,
  }: {
    url: string;
    tokens: string[];
    one: Call;
    agents: string;
  }): Promise<number[]> {
    const times: number[] = [];
    for (const [at, token] of tokens.entries()) {
      const from = performance.now();
      const answer = await call(url, token, { ...one, path: one.path.replace("AGENT", `${agents}${at}`) }, at);
      if (answer.status >= 400) throw new Error(answer.text);
      times.push(performance.now() - from);
    }
    return times;
  },
});
