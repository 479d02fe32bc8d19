/**
 * What users do while things break: they send messages with a key, repeat the call until it is accepted, and read to the end,
 * by event stream or socket as it comes. Senders deliver webhooks. All of it is written down; what it means is the judge's.
 */
import { once, on } from "node:events";
import { isEnded, type Run, type ServerFrame } from "@berth/shared/resources";
import { WebSocket } from "ws";
import type { Client } from "../harness/client.ts";
import { headersOf, type Trigger } from "../harness/sender.ts";
import { composeProgram } from "./programs.ts";
import { pause, type Random } from "./random.ts";
import { type Recorder, toldRun } from "./recorder.ts";

/** One message that was sent, and what came of it. */
export interface Asked {
  user: string;
  agentId: string;
  key: string;
  prompt: string;
  runId: string | null;
  /** The byte offset just after the last line that was read. */
  offset: number;
  final: Run | null;
}
export interface Load {
  asked: Asked[];
  /** Takes no new messages, and waits for the ends of those that were sent. */
  stop(): Promise<void>;
}
export interface Worker {
  user: string;
  userId: string;
  client: Client;
  /** Another one once it was deleted. */
  agentId: string;
  isShell: boolean;
  /** No trigger and no conversation stands behind its agent. */
  isDeletable: boolean;
}
/** What an agent has of a trigger. */
export interface Hook {
  worker: Worker;
  trigger: Trigger;
}

const acceptMs = 400_000;
const endMs = 600_000;
const quietMs = 45_000;

/** Starts all workers, each with one run at a time, and a sender for each hook; they rest `rest` times as long as the busiest do. */
export function startLoad(workers: Worker[], hooks: Hook[], random: Random, recorder: Recorder, rest: number): Load {
  const asked: Asked[] = [];
  const stopping = new AbortController();
  const { signal } = stopping;
  const done = Promise.all([
    ...workers.map((worker, at) => work(worker, at, asked, random, recorder, { signal, rest })),
    ...hooks.map((hook, at) => deliver(hook, at, asked, random, recorder, { signal, rest })),
  ]);
  return {
    asked,
    async stop() {
      stopping.abort();
      await done;
    },
  };
}

async function work(
  worker: Worker,
  at: number,
  all: Asked[],
  random: Random,
  recorder: Recorder,
  { signal, rest }: { signal: AbortSignal; rest: number },
): Promise<void> {
  for (let count = 1; !signal.aborted; count++) {
    const asked = compose(worker, `k${at}-${count}`, random, recorder);
    all.push(asked);
    const problem =
      (await send(worker, asked, recorder)) ??
      (asked.runId ? await follow(worker.client, asked, random, recorder) : null);
    if (problem)
      recorder.write({ kind: "remark", text: `${asked.user} ${asked.key} ${asked.runId ?? ""}: ${problem}` });
    // The same message once more, after its end: it is the same run, and nothing starts.
    if (!problem && random.isTrue(0.1)) await send(worker, asked, recorder);
    await pause(random.whole(50, 800) * rest);
  }
}

function compose({ user, userId, agentId, isShell }: Worker, key: string, random: Random, recorder: Recorder): Asked {
  const { script, expected } = composeProgram(key, random);
  const program = isShell ? expected : null;
  recorder.write({ kind: "asked", key, user: userId, agent: agentId, via: "api", program });
  const prompt = isShell ? script : `Say hello to ${key} in one sentence.`;
  return { user, agentId, key, prompt, runId: null, offset: 0, final: null };
}

/** Repeats the call with its key until it is accepted, or its agent is deleted; a sentence when neither ever is. */
async function send(worker: Worker, asked: Asked, recorder: Recorder): Promise<string | null> {
  const deadline = Date.now() + acceptMs;
  let last = "no answer";
  while (Date.now() < deadline) {
    const answer = await worker.client
      .call<Run>("POST", `/v1/agents/${asked.agentId}/runs`, { prompt: asked.prompt }, { "idempotency-key": asked.key })
      .catch((error: unknown) => ({ status: 0, body: { id: String(error) } }) as never);
    if (answer.status === 202) {
      asked.runId = answer.body.id;
      recorder.write({ kind: "accepted", key: asked.key, run: asked.runId });
      recorder.write({ kind: "told", by: "answer", run: toldRun(answer.body) });
      return null;
    }
    if (worker.agentId !== asked.agentId) return null;
    last = `${answer.status} ${JSON.stringify(answer.body).slice(0, 200)}`;
    if (answer.status >= 400 && ![401, 403, 404, 409, 429, 500, 503].includes(answer.status))
      return `the message was answered ${last}`;
    await pause(300);
  }
  return `the message was not accepted within ${acceptMs / 1000} s: ${last}`;
}

/** Reads the run like a patient client, and cancels one in a while. */
async function follow(client: Client, asked: Asked, random: Random, recorder: Recorder): Promise<string | null> {
  const deadline = Date.now() + endMs;
  if (random.isTrue(0.08)) void cancelLater(client, asked, random.whole(0, 3000));
  while (Date.now() < deadline) {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), quietMs);
    const isSocket = random.isTrue(0.3);
    const reader = recorder.number();
    recorder.write({
      kind: "reader",
      reader,
      run: asked.runId!,
      after: asked.offset,
      by: isSocket ? "socket" : "stream",
    });
    try {
      for await (const told of (isSocket ? readSocket : readStream)(client, asked, silence.signal)) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), quietMs);
        if ("end" in told) {
          asked.final = told.end;
          recorder.write({ kind: "told", by: `reader ${reader}`, run: toldRun(told.end) });
          return null;
        }
        asked.offset = told.offset;
        recorder.write({ kind: "output", reader, offset: told.offset, data: told.data });
      }
    } catch {
      // The connection was lost, or the gateway has not been told of the run again yet.
    } finally {
      clearTimeout(timer);
    }
    await pause(200);
  }
  const answer = await client
    .call<Run>("GET", `/v1/runs/${asked.runId!}`)
    .catch((error: unknown) => ({ status: 0, body: String(error) }));
  return `its end was not told within ${endMs / 1000} s; the API says ${JSON.stringify(answer.body).slice(0, 300)}`;
}

type Told = { offset: number; data: string } | { end: Run };

/** By the event stream, from where the reader is. Its first event says how the run is, ended or not. */
async function* readStream(client: Client, { runId, offset }: Asked, signal: AbortSignal): AsyncGenerator<Told> {
  let isFirst = true;
  for await (const { event, id, data } of client.events(runId!, offset, signal)) {
    if (event === "output") yield { offset: Number(id), data };
    else if (!isFirst && (JSON.parse(data) as Run).endedAt) yield { end: JSON.parse(data) as Run };
    isFirst = false;
  }
}

/** By the socket, which tells of an end before the rest of the lines to whom has not subscribed yet. */
async function* readSocket({ url, token }: Client, asked: Asked, signal: AbortSignal): AsyncGenerator<Told> {
  const { runId, offset: after } = asked;
  const headers = { authorization: `Bearer ${token}` };
  const ws = new WebSocket(`${url.replace("http", "ws")}/v1/connect`, ["berth.v1"], { headers });
  const end = () => ws.terminate();
  signal.addEventListener("abort", end);
  try {
    const messages = on(ws, "message", { close: ["close"] });
    await once(ws, "open");
    ws.send(JSON.stringify({ type: "subscribe", runId, after }));
    for await (const [bytes] of messages as AsyncIterable<[Buffer]>) {
      const frame = JSON.parse(bytes.toString()) as ServerFrame;
      // The run is not on the user's host any more: the API knows the rest.
      if (frame.type === "error") return;
      if (frame.type === "output" && frame.runId === runId)
        yield { offset: frame.offset, data: JSON.stringify(frame.data) };
      if (frame.type === "run" && frame.run.id === runId && frame.run.endedAt && frame.run.logBytes === asked.offset)
        yield { end: frame.run };
    }
  } finally {
    signal.removeEventListener("abort", end);
    ws.terminate();
  }
}

async function cancelLater(client: Client, asked: Asked, ms: number): Promise<void> {
  await pause(ms);
  await client.call("POST", `/v1/runs/${asked.runId}/cancel`).catch(() => undefined);
}

/** Delivers now and then, and one in a while twice; at last waits for the ends. */
async function deliver(
  hook: Hook,
  at: number,
  all: Asked[],
  random: Random,
  recorder: Recorder,
  { signal, rest }: { signal: AbortSignal; rest: number },
): Promise<void> {
  const { user, userId, agentId } = hook.worker;
  const own: Asked[] = [];
  for (let count = 1; !signal.aborted; count++) {
    const key = `w${at}-${count}`;
    const { script, expected } = composeProgram(key, random);
    recorder.write({ kind: "asked", key, user: userId, agent: agentId, via: "webhook", program: expected });
    const asked: Asked = { user, agentId, key, prompt: script, runId: null, offset: 0, final: null };
    all.push(asked);
    own.push(asked);
    for (let times = random.isTrue(0.2) ? 2 : 1; times > 0; times--) await deliverOne(hook, asked, recorder);
    await pause(random.whole(4000, 25_000) * rest);
  }
  await awaitEnds(hook, own, recorder);
}

/** Again and again until it is accepted. */
async function deliverOne({ worker, trigger }: Hook, asked: Asked, recorder: Recorder): Promise<void> {
  const body = JSON.stringify({ script: asked.prompt });
  const signed = await headersOf("token", trigger.secret, asked.key, body);
  const headers = { "content-type": "application/json", ...signed };
  for (const deadline = Date.now() + acceptMs; Date.now() < deadline; await pause(500)) {
    const answer = await worker.client
      .call<{ runId: string }>("POST", `/hooks/${trigger.id}`, body, headers)
      .catch(() => null);
    if (!answer || ![200, 202].includes(answer.status)) continue;
    asked.runId = answer.body.runId;
    return recorder.write({ kind: "accepted", key: asked.key, run: asked.runId });
  }
  recorder.write({ kind: "remark", text: `the delivery ${asked.key} was not accepted in ${acceptMs} ms` });
}

/** What a gateway forgot that was restored is delivered once more. */
async function awaitEnds(hook: Hook, own: Asked[], recorder: Recorder): Promise<void> {
  const { client } = hook.worker;
  for (const deadline = Date.now() + endMs; Date.now() < deadline; await pause(1000)) {
    const open = own.filter(({ runId, final }) => runId !== null && !final);
    if (open.length === 0) return;
    for (const asked of open) {
      const answer = await client.call<Run>("GET", `/v1/runs/${asked.runId}`).catch(() => null);
      if (answer?.status === 404) await deliverOne(hook, asked, recorder);
      if (answer?.status !== 200) continue;
      recorder.write({ kind: "told", by: "get", run: toldRun(answer.body) });
      if (!isEnded(answer.body.status)) break;
      asked.final = answer.body;
    }
  }
  const open = own.filter(({ final }) => !final).map(({ key, runId }) => `${key} (${runId})`);
  recorder.write({ kind: "remark", text: `deliveries have not ended in ${endMs} ms: ${open.join(", ")}` });
}
