/**
 * Simulated hosts, many in this process: each joins and reports by the host agent's own code, from a database and workspaces
 * that are a few maps, and answers the gateway's calls. Told what to do by its parent, over IPC.
 */
import { once } from "node:events";
import { Agent, createServer, type IncomingMessage, request as send, type ServerResponse } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { decodeJwt } from "jose";
import { type WebSocket, WebSocketServer } from "ws";
import type { ReportBody, StartRunBody } from "@berth/shared/host-api";
import { describeWorkspace } from "@berth/shared/resources";
import { parseSettings } from "@berth/shared/settings";
import { userId, type World } from "./fill.ts";
import { type Host, openHost, withoutPrompt } from "./host.ts";
import { serveParent } from "./parent.ts";

const tickMs = 100;
/** How often the model answers in a run: its usage changes. */
const turnMs = 10_000;

interface Life {
  /** Of each host's workspaces as many have a run in progress from the start. */
  busy: number;
  /** How long a run lasts on average. */
  runMs: number;
}

const hosts = new Map<string, Host>();
const stopped = new AbortController();
const random = (below: number) => Math.floor(Math.random() * below);
/** Reports of this process that were answered, their bytes, and how many workspaces they told of. */
const sent = { reports: 0, bytes: 0, workspaces: 0 };

const connections = new Agent({ keepAlive: true });
/** A report, from an address of its host's own, as machines have. */
async function post(url: string, { headers, body, signal }: RequestInit): Promise<Response> {
  const { url: own, workspaces } = JSON.parse(body as string) as ReportBody;
  const localAddress = new URL(own).hostname;
  const options = { agent: connections, method: "POST", headers: headers as Record<string, string>, localAddress };
  const request = send(url, { ...options, signal: signal! }).end(body);
  const [answer] = (await once(request, "response")) as [IncomingMessage];
  const read = await text(answer);
  if (answer.statusCode === 200) {
    sent.reports += 1;
    sent.bytes += (body as string).length;
    sent.workspaces += workspaces.length;
  }
  return new Response(read, { status: answer.statusCode!, headers: answer.headers as Record<string, string> });
}

const other = globalThis.fetch;
globalThis.fetch = (input, init) =>
  typeof input === "string" && input.endsWith("/report") ? post(input, init!) : other(input, init);

/** The host that a call is meant for: all of them listen at one port. */
const hostOf = (request: IncomingMessage) => {
  const { aud, sub } = decodeJwt(request.headers.authorization!.slice("Bearer ".length));
  return { host: hosts.get(aud as string), caller: sub! };
};

async function answerCall(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await text(request);
  const { host, caller } = hostOf(request);
  const answer = (status: number, told: unknown) =>
    response
      .writeHead(status, { "content-type": status < 400 ? "application/json" : "application/problem+json" })
      .end(JSON.stringify(told));
  const refuse = (status: number, code: string) =>
    answer(status, { type: "about:blank", title: "-", status, detail: code, code, requestId: "host" });
  if (!host) return void refuse(404, "not_found");
  if (request.method === "POST" && request.url === "/v1/runs") {
    const { run, agent } = JSON.parse(body) as StartRunBody;
    const { id, prompt } = run;
    if (!host.runs.has(id) && host.active().some((one) => one.agentId === agent.id))
      return void refuse(409, "agent_busy");
    const begun = host.runs.get(id) ?? host.begin({ id, prompt, userId: caller, agentId: agent.id });
    return void answer(202, { epoch: host.epoch, run: withoutPrompt(begun) });
  }
  const runId = /^\/v1\/runs\/([\w-]+)\/cancel$/.exec(request.url!)?.[1];
  const run = runId && host.runs.get(runId);
  if (!run) return void refuse(404, "not_found");
  answer(200, { epoch: host.epoch, run: withoutPrompt(host.end(run, "cancelled")) });
}

/** A socket as the host agent's: hello, pings, a new sample each five seconds, and the lines of a log that grows by one a second while somebody looks. */
const lineMs = 1000;
const startedAt = Date.now();
const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => "berth.v1" });
function serveSocket(socket: WebSocket, host: Host, caller: string): void {
  const workspace = host.workspaces.get(caller) ?? describeWorkspace(parseSettings({}), host.id);
  const send = (frame: unknown) => socket.send(JSON.stringify(frame));
  const newest = () => Math.floor((Date.now() - startedAt) / lineMs);
  let next: number | null = null;
  send({ type: "hello", workspace, runs: [], lines: newest() });
  socket.on("message", (data: Buffer) => (next = (JSON.parse(data.toString()) as { after: number }).after));
  const watch = setInterval(() => {
    for (; next !== null && next < newest(); next++)
      send({
        type: "output",
        runId: "run_log",
        agentId: "agt_log",
        offset: next + 1,
        data: { type: "text", text: `line ${next + 1}` },
      });
  }, lineMs);
  const beat = setInterval(() => socket.ping(), 10_000);
  const sample = setInterval(() => send({ type: "workspace", workspace }), 5000);
  socket.on("error", () => socket.terminate());
  socket.on("close", () => {
    clearInterval(watch);
    clearInterval(beat);
    clearInterval(sample);
  });
}

/** One timer for all: some turns, some ends, so that as many a second come about as so many hosts would make. */
function live({ busy, runMs }: Life): void {
  const all = [...hosts.values()];
  const due = (all.length * busy * tickMs) / turnMs;
  let owed = 0;
  setInterval(() => {
    for (owed += due; owed >= 1; owed--) {
      const host = all[random(all.length)]!;
      const active = host.active();
      const run = active[random(active.length)];
      if (run) host[Math.random() < turnMs / runMs ? "end" : "turn"](run);
    }
  }, tickMs).unref();
}

serveParent({
  async open({ world, gatewayUrl, dir }: { world: World; gatewayUrl: string; dir: string }): Promise<number> {
    const server = createServer(
      (request, response) => void answerCall(request, response).catch(() => response.destroy()),
    );
    server.on("upgrade", (request, socket, head) => {
      const { host, caller } = hostOf(request);
      sockets.handleUpgrade(request, socket, head, (opened) => serveSocket(opened, host!, caller));
    });
    await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", 10_000, resolve));
    const { port } = server.address() as { port: number };
    const one = async (at: number) => {
      const settings = parseSettings({
        BERTH_GATEWAY_URL: gatewayUrl,
        BERTH_JOIN_TOKEN: world.joinTokens[at],
        BERTH_HOST_NAME: `host ${at}`,
        BERTH_HOST_URL: `http://127.1.${Math.floor(at / 250)}.${(at % 250) + 1}:${port}`,
      });
      const count = world.workspaces;
      const users = Array.from({ length: count }, (_, one) => userId(at + one * world.hosts));
      const host = await openHost(settings, join(dir, "hosts", String(at)), `epoch${at}`, users);
      hosts.set(host.id, host);
    };
    for (let from = 0; from < world.hosts; from += 20)
      await Promise.all(Array.from({ length: Math.min(20, world.hosts - from) }, (_, at) => one(from + at)));
    return hosts.size;
  },
  /** Each host begins to report, `overMs` apart in all, with runs in progress of its first users; answers once each was heard. */
  async report({ life, overMs }: { life: Life; overMs: number }): Promise<number> {
    await Promise.all(
      [...hosts.values()].map(async (host, at, all) => {
        const users = [...host.workspaces.keys()].slice(0, life.busy);
        for (const user of users)
          host.begin({
            id: `run_first_${user}`,
            userId: user,
            agentId: user.replace("usr", "agt"),
            prompt: "First words",
          });
        const heard = new Promise<void>((resolve) => (host.onAnswer = resolve));
        setTimeout(() => host.report(stopped.signal), (at * overMs) / all.length);
        await heard;
        host.onAnswer = () => {};
      }),
    );
    return hosts.size;
  },
  live: async (life: Life) => live(life),
  sent: async () => ({ ...sent }),
  /** Runs in progress, all hosts together. */
  active: async () => [...hosts.values()].reduce((sum, host) => sum + host.active().length, 0),
  /** Ids of runs that the gateway must know. */
  activeIds: async () => [...hosts.values()].flatMap((host) => host.active().map(({ id }) => id)),
  /** How many have been answered since the last question. */
  async answered() {
    const all = [...hosts.values()];
    const count = all.filter(({ answered }) => answered > 0).length;
    for (const host of all) host.answered = 0;
    return count;
  },
  hostIds: async () => [...hosts.keys()],
});
