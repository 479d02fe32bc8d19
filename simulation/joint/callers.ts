/** Those who call the gateway: users, senders of webhooks, an admin. They repeat what got no answer, and remember what was promised. */
import { createHash, createHmac } from "node:crypto";
import { gatewayUrl } from "../machine/machine.ts";
import { drawScript, type Script, setScript } from "../machine/script.ts";
import type { Network } from "../sides/network.ts";
import { startMs } from "../world/globals.ts";
import { Draws } from "../world/random.ts";
import { world } from "../world/world.ts";
import { admin, agentsOf, isSigned, secretOf, tokenOf, triggerOf } from "./beginning.ts";
import type { JointOperation } from "./operations.ts";

/** A run that the gateway answered for. */
export interface Promised {
  runId: string;
  userId: string;
  agentId: string;
  prompt: string;
  atMs: number;
  /** Of what came by a trigger. */
  deliveryId: string | null;
}
interface Answer {
  status: number;
  body: { runId?: string | null; deliveryId?: string; id?: string; items?: unknown[] } | null;
}
interface Call {
  userId?: string;
  headers?: Record<string, string>;
  body?: string;
}

const retries = 3;

export class Callers {
  readonly #network: Network;
  /** By the run's id. */
  readonly promised = new Map<string, Promised>();
  /** What each run was asked for, promised or not. */
  readonly prompts = new Map<string, string>();
  readonly scripts = new Map<string, Partial<Script>>();
  /** What a sender's id came to, by trigger and id. */
  readonly #taken = new Map<string, string | null>();
  /** Calls without a last answer yet. */
  waiting = 0;

  constructor(network: Network) {
    this.#network = network;
  }

  /** Starts a run of the agent; with `isTwice` the same again while the first call is under way. */
  start({ index, user, agent, seed, script }: JointOperation, isTwice = false, more: object = {}): void {
    const draws = new Draws(seed, "start");
    const [key, prompt] = [`key-${index}`, `prompt ${index}`];
    const runId = runIdOf(user, agent, key);
    this.#expect(runId, prompt, { ...drawScript(draws), ...script });
    const headers = { "idempotency-key": key };
    const call = () =>
      this.#repeat(
        "POST",
        `/v1/agents/${agent}/runs`,
        { userId: user, headers, body: JSON.stringify({ prompt, ...more }) },
        (answer) => {
          if (answer.status !== 202) return;
          if (answer.body?.id !== runId)
            return world().violate("a key is one run", `${key} started ${answer.body?.id}, not ${runId}`);
          this.#promise({ runId, userId: user, agentId: agent, prompt, atMs: world().nowMs, deliveryId: null });
        },
      );
    call();
    if (isTwice) this.#later(draws.delay(), call);
  }

  /** Delivers to the agent's trigger; with `isTwice` the same again, at once or later. */
  deliver({ index, user, agent, seed, script }: JointOperation, isTwice = false): void {
    const draws = new Draws(seed, "deliver");
    const externalId = isTwice || draws.is(0.8) ? `sent-${index}` : null;
    const prompt = `delivery ${index}`;
    if (externalId !== null)
      this.#expect(runIdOf("trigger", triggerOf(agent), externalId), prompt, { ...drawScript(draws), ...script });
    const once = () => this.#deliver({ userId: user, agentId: agent, prompt, externalId });
    once();
    if (isTwice) this.#later(draws.is(0.5) ? draws.delay() : draws.between(100, 8000), once);
  }

  replay({ user, seed }: JointOperation): void {
    const own = [...this.promised.values()].filter(({ userId, deliveryId }) => userId === user && deliveryId !== null);
    if (own.length === 0) return;
    const { deliveryId, agentId, prompt } = new Draws(seed, "replay").of(own);
    const askedMs = world().nowMs;
    // Without a key: who gets no answer does not know, and does not repeat.
    void this.call("POST", `/v1/deliveries/${deliveryId}/replay`, { userId: user }).then((answer) => {
      const { id, runId } = answer?.body ?? {};
      // What was answered just before an older copy was put back is not in that.
      if (answer?.status === 202 && runId && askedMs > this.#forgotMs)
        this.#promise({ runId, userId: user, agentId, prompt, atMs: world().nowMs, deliveryId: id! });
    });
  }

  cancel({ user, seed }: JointOperation): void {
    const own = [...this.promised.values()].filter(({ userId }) => userId === user);
    if (own.length > 0) this.cancelRun(user, new Draws(seed, "cancel").of(own).runId);
  }

  cancelRun(userId: string, runId: string): void {
    void this.call("POST", `/v1/runs/${runId}/cancel`, { userId });
  }

  stop({ user }: { user: string }): void {
    void this.call("POST", "/v1/workspace/stop", { userId: user });
  }

  deleteAgent({ user, agent }: JointOperation): void {
    this.#repeat("DELETE", `/v1/agents/${agent}`, { userId: user });
  }

  deleteTrigger({ user, agent }: JointOperation): void {
    this.#repeat("DELETE", `/v1/triggers/${triggerOf(agent)}`, { userId: user });
  }

  setUser({ user }: JointOperation, change: { disabled: boolean; cancelRuns?: boolean }): void {
    this.#repeat("PATCH", `/v1/admin/users/${user}`, { userId: admin, body: JSON.stringify(change) });
  }

  administer(method: string, path: string): void {
    this.#repeat(method, path, { userId: admin });
  }

  /** What the user is told of all their runs; null without an answer. */
  async list<Row>(userId: string): Promise<Row[] | null> {
    const answer = await this.call("GET", "/v1/runs?limit=100", { userId });
    return answer?.status === 200 ? (answer.body!.items as Row[]) : null;
  }

  /** An older copy of the gateway's database knows nothing of what was promised after it was made. */
  forgetSince(ms: number): void {
    for (const [runId, { atMs }] of this.promised) if (atMs >= ms) this.promised.delete(runId);
    this.#taken.clear();
    this.#forgotMs = world().nowMs;
  }
  #forgotMs = -1;

  #deliver({
    userId,
    agentId,
    prompt,
    externalId,
  }: {
    userId: string;
    agentId: string;
    prompt: string;
    externalId: string | null;
  }): void {
    const askedMs = world().nowMs;
    const call = { headers: signed(agentId, prompt, externalId), body: prompt };
    this.#repeat(
      "POST",
      `/hooks/${triggerOf(agentId)}`,
      call,
      ({ status, body }) => {
        if ((status !== 202 && status !== 200) || askedMs <= this.#forgotMs) return;
        const [runId, deliveryId] = [body!.runId ?? null, body!.deliveryId!];
        this.#judgeRepeated(`${agentId} ${externalId ?? deliveryId}`, runId);
        if (runId) this.#promise({ runId, userId, agentId, prompt, atMs: world().nowMs, deliveryId });
      },
      externalId === null ? 1 : retries,
    );
  }

  /** Nothing is quiet before it is made. */
  #later(ms: number, call: () => void): void {
    this.waiting++;
    world().after(ms, () => {
      this.waiting--;
      call();
    });
  }

  #judgeRepeated(key: string, runId: string | null): void {
    const before = this.#taken.get(key);
    if (before !== undefined && before !== runId)
      world().violate("a delivery is one run", `${key} became ${before}, and then ${runId}`);
    this.#taken.set(key, runId);
  }

  #expect(runId: string, prompt: string, script: Partial<Script>): void {
    this.prompts.set(runId, prompt);
    this.scripts.set(runId, script);
    setScript(runId, script);
  }

  #promise(promised: Promised): void {
    if (!this.promised.has(promised.runId)) this.promised.set(promised.runId, promised);
    this.prompts.set(promised.runId, promised.prompt);
  }

  #repeat(
    method: string,
    path: string,
    call: Call,
    done: (answer: Answer) => void = () => undefined,
    most = retries,
  ): void {
    this.waiting++;
    const attempt = async (left: number): Promise<void> => {
      const answer = await this.call(method, path, call);
      if (answer && answer.status < 500) done(answer);
      else if (left > 1) {
        await new Promise<void>((resolve) => void setTimeout(resolve, 1500));
        return attempt(left - 1);
      }
      this.waiting--;
    };
    void attempt(most);
  }

  /** Null without an answer. */
  async call(method: string, path: string, { userId, headers = {}, body }: Call): Promise<Answer | null> {
    const all = new Headers(headers);
    if (userId !== undefined) all.set("authorization", `Bearer ${tokenOf(userId)}`);
    if (body !== undefined && !all.has("content-type")) all.set("content-type", "application/json");
    this.waiting++;
    try {
      const signal = AbortSignal.timeout(90_000);
      const answer = await this.#network.send({
        url: gatewayUrl + path,
        method,
        headers: all,
        body: body ?? null,
        signal,
      });
      const said = await answer.text();
      world().trace(`${method} ${path} → ${answer.status} ${answer.status >= 400 ? said : ""}`);
      return { status: answer.status, body: said === "" ? null : (JSON.parse(said) as Answer["body"]) };
    } catch (error) {
      world().trace(`${method} ${path} → ${String(error)}`);
      return null;
    } finally {
      this.waiting--;
    }
  }
}

export const allAgents = (userIds: readonly string[]) => userIds.flatMap(agentsOf);

/** As the product's own, which is asynchronous. */
export function runIdOf(...words: string[]): string {
  return `run_${createHash("sha256").update(JSON.stringify(words)).digest("hex").slice(0, 32)}`;
}

function signed(agentId: string, body: string, externalId: string | null): Record<string, string> {
  const secret = secretOf(agentId);
  const type = { "content-type": "text/plain" };
  if (!isSigned(agentId))
    return {
      ...type,
      authorization: `Bearer ${secret}`,
      ...(externalId !== null && { "idempotency-key": externalId }),
    };
  const id = externalId ?? `sent-${world().nowMs}`;
  const timestamp = String(Math.floor((startMs + world().nowMs) / 1000));
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  return { ...type, "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": `v1,${signature}` };
}
