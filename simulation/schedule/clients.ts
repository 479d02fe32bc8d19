/** Those who call: the gateway on behalf of users. They repeat what got no answer, under the same id, and remember what was promised. */
import { createHash } from "node:crypto";
import type { OwnLimits } from "@berth/shared/users";
import { protocolHeader, protocolVersion, unseenAgent } from "@berth/shared/host-api";
import { drawScript, setScript } from "../machine/script.ts";
import { hostId, hostUrl } from "../machine/machine.ts";
import type { ModelGateway } from "../sides/model-gateway.ts";
import type { Network } from "../sides/network.ts";
import { Draws } from "../world/random.ts";
import { startMs } from "../world/globals.ts";
import { world } from "../world/world.ts";
import type { Operation } from "./operations.ts";

export interface Wanted {
  runId: string;
  userId: string;
  agentId: string;
  prompt: string;
  /** When the host promised it; null before. */
  promisedMs: number | null;
}

const retries = 3;

export class Clients {
  readonly #network: Network;
  readonly #gateway: ModelGateway;
  readonly wanted: Wanted[] = [];
  readonly deletedAgents = new Set<string>();
  /** Words that a run was promised to be told, by their ids. */
  readonly said = new Map<string, { runId: string; userId: string }>();
  /** When the host's database was lost or restored last: answers to earlier calls promise nothing. */
  #forgotMs = -1;
  /** Calls without an answer yet; of them those that stop a workspace. */
  waiting = 0;
  stopping = 0;
  readonly #hasLongLogs: boolean;
  /** Users' own limits, as the gateway tells them with each call. */
  readonly #limits = new Map<string, OwnLimits>();
  /** What was asked to end: users, agents and runs. */
  readonly ended = new Set<string>();

  constructor(network: Network, gateway: ModelGateway, hasLongLogs: boolean) {
    this.#network = network;
    this.#gateway = gateway;
    this.#hasLongLogs = hasLongLogs;
  }

  limit(user: string, limits: OwnLimits): void {
    this.#limits.set(user, limits);
  }

  /** Starts a run of the agent; with `isTwice` the same again while the first call is under way. */
  start({ index, user, agent, seed, script }: Operation, isTwice = false): void {
    const draws = new Draws(seed, "start");
    const runId = `run_${index}`;
    setScript(runId, { ...drawScript(draws, this.#hasLongLogs), ...script });
    const wanted = { runId, userId: user, agentId: agent, prompt: `prompt ${index}`, promisedMs: null };
    this.wanted.push(wanted);
    const spec = { ...specOf(agent), version: draws.is(0.1) ? 2 : 1 };
    const run = { id: runId, trigger: { kind: "api", triggerId: null }, prompt: wanted.prompt, payload: null };
    const call = async () => {
      this.waiting++;
      await this.#repeat(wanted, "POST", "/v1/runs", { run, agent: spec });
      this.waiting--;
    };
    void call();
    if (isTwice) world().after(draws.delay(), call);
  }

  /** Says a word to the run, once or, where its caller hears nothing or is impatient, again. */
  say({ user, seed }: Operation, runId: string): void {
    const messageId = `00000000-0000-4000-8000-${String(seed).padStart(12, "0")}`;
    const text = "word";
    const say = async () => {
      const answer = await this.#again(user, `/v1/runs/${runId}/messages`, { messageId, text });
      if (answer?.status === 202) this.said.set(messageId, { runId, userId: user });
    };
    void say();
    world().after(new Draws(seed, "say").delay(), say);
  }

  interrupt({ user }: Operation, runId: string): void {
    this.ended.add(runId);
    void this.#again(user, `/v1/runs/${runId}/interrupt`);
  }

  answer({ user }: Operation, runId: string): void {
    void this.#again(user, `/v1/runs/${runId}/answers`, { requestId: "ask_1", behavior: "allow", message: null });
  }

  async #again(user: string, path: string, body?: unknown): Promise<{ status: number; text: string } | null> {
    for (let attempt = 0; ; attempt++) {
      const answer = await this.call(user, "POST", path, body);
      if (attempt + 1 >= retries || (answer && answer.status < 500)) return answer;
      await new Promise<void>((resolve) => void setTimeout(resolve, 1500));
    }
  }

  /** A run that its user talks to while it goes on. */
  talk(operation: Operation): void {
    const { index, seed } = operation;
    const draws = new Draws(seed, "talk");
    this.start({ ...operation, script: { end: null, isKilled: false, chunks: [10], asks: draws.is(0.3) } });
    const talks = draws.is(0.5) ? [this.say] : [this.say, draws.of([this.interrupt, this.answer])];
    for (const [at, talk] of talks.entries()) {
      this.waiting++;
      world().after(draws.between(300, 2500) + at * 300, () => {
        this.waiting--;
        talk.call(this, operation, `run_${index}`);
      });
    }
  }

  open(user: string, agent: string): void {
    void this.call(user, "POST", `/v1/agents/${agent}/ahead`, specOf(agent));
  }

  /** Its user looks at the conversation, and writes a while later: at once, or when a CLI waits. */
  openAndStart(operation: Operation): void {
    const draws = new Draws(operation.seed, "open");
    this.open(operation.user, operation.agent);
    this.waiting++;
    world().after(draws.is(0.3) ? draws.delay() : draws.between(300, 5000), () => {
      this.waiting--;
      this.start(operation);
    });
  }

  cancel({ user, seed }: Operation): void {
    const own = this.wanted.filter(({ userId }) => userId === user);
    if (own.length === 0) return;
    const { runId } = new Draws(seed, "cancel").of(own);
    this.ended.add(runId);
    void this.call(user, "POST", `/v1/runs/${runId}/cancel`);
  }

  stop({ user }: Operation): void {
    this.ended.add(user);
    this.stopping++;
    void this.call(user, "POST", "/v1/workspace/stop").finally(() => this.stopping--);
  }

  /** By a call, by the answer to a report, or by both. */
  deleteAgent({ user, agent, seed }: Operation): void {
    const way = new Draws(seed, "delete").of(["call", "report", "both"]);
    this.deletedAgents.add(agent);
    this.ended.add(agent);
    if (way !== "call") this.#gateway.deleted.add(agent);
    if (way !== "report") void this.call(user, "DELETE", `/v1/agents/${agent}`);
  }

  /** A copy of the host's database knows nothing of what it promised later. */
  forgetSince(ms: number): void {
    this.#forgotMs = world().nowMs;
    this.said.clear();
    for (const wanted of this.wanted) if ((wanted.promisedMs ?? -1) >= ms) wanted.promisedMs = null;
  }

  async #repeat(wanted: Wanted, method: string, path: string, body: unknown): Promise<void> {
    for (let attempt = 0; attempt < retries; attempt++) {
      const askedMs = world().nowMs;
      const answer = await this.call(wanted.userId, method, path, body);
      if (answer && answer.status === 202 && askedMs > this.#forgotMs) {
        wanted.promisedMs = world().nowMs;
        const { epoch, run } = JSON.parse(answer.text) as { epoch: string; run: never };
        this.#gateway.take(epoch, run);
      }
      if (answer && answer.status < 500) return;
      await new Promise<void>((resolve) => void setTimeout(resolve, 1500));
    }
  }

  /** As the gateway calls; null without an answer. */
  async call(
    userId: string,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; text: string } | null> {
    const text = body === undefined ? null : JSON.stringify(body);
    const headers = new Headers({
      authorization: `Bearer ${tokenFor(userId, `${method} ${path}`, text ?? "", this.#limits.get(userId))}`,
      [protocolHeader]: String(protocolVersion),
    });
    if (body !== undefined) headers.set("content-type", "application/json");
    this.waiting++;
    try {
      const signal = AbortSignal.timeout(90_000);
      const answer = await this.#network.send({ url: hostUrl + path, method, headers, body: text, signal });
      const said = await answer.text();
      world().trace(`${method} ${path} → ${answer.status} ${answer.status >= 400 ? said : ""}`);
      return { status: answer.status, text: said };
    } catch (error) {
      world().trace(`${method} ${path} → ${String(error)}`);
      return null;
    } finally {
      this.waiting--;
    }
  }
}

const hashOf = (agent: string) => agent.charCodeAt(agent.length - 1) + agent.charCodeAt(4);
const specOf = (agent: string) => ({
  ...unseenAgent(agent),
  version: 1,
  name: "n",
  runtime: hashOf(agent) % 3 === 0 ? "claude" : "shell",
  onInterruption: "continue",
});
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

function tokenFor(userId: string, call: string, body: string, limits?: OwnLimits): string {
  const seconds = Math.floor((startMs + world().nowMs) / 1000);
  const claims = {
    iss: "berth:gateway",
    aud: hostId,
    sub: userId,
    tid: null,
    texp: seconds + 60,
    iat: seconds,
    exp: seconds + 30,
    jti: "simulated",
    ...(limits && { limits }),
    call,
    body: createHash("sha256").update(body).digest("hex"),
  };
  return `${encode({ alg: "EdDSA", kid: "simulated", typ: "berth-call+jwt" })}.${encode(claims)}.${"A".repeat(86)}`;
}
