/**
 * What users do while things break: they send messages with a key, repeat the call until it is accepted, and read to the end,
 * by event stream or socket as it comes.
 */
import { once, on } from "node:events";
import type { Run, ServerFrame } from "@berth/shared/resources";
import { WebSocket } from "ws";
import { type Client, textOf } from "../harness/client.ts";
import { pause, type Random } from "./random.ts";

/** One message that was sent, and what came of it. */
export interface Asked {
  user: string;
  userId: string;
  agentId: string;
  key: string;
  prompt: string;
  /** What a shell run prints and ends with; null for one of the real CLI. */
  expected: { lines: number; exitCode: number } | null;
  isCancelAsked: boolean;
  runId: string | null;
  /** Milliseconds since 1970. */
  sentAt: number;
  acceptedAt: number;
  endedAt: number;
  /** Lines; of the real CLI as JSON. */
  received: string[];
  /** The byte offset just after the last of them. */
  offset: number;
  final: Run | null;
}
export interface Load {
  asked: Asked[];
  /** What should never have happened, in sentences. */
  wrong: string[];
  /** Takes no new messages, and waits for the ends of those that were sent. */
  stop(): Promise<void>;
}
export interface Worker {
  user: string;
  userId: string;
  client: Client;
  agentId: string;
  isShell: boolean;
}

const acceptMs = 240_000;
const endMs = 300_000;
const quietMs = 45_000;

/** Starts all workers; each has one run at a time. */
export function startLoad(workers: Worker[], random: Random): Load {
  const load: Load = {
    asked: [],
    wrong: [],
    stop() {
      stopping.abort();
      return done;
    },
  };
  const stopping = new AbortController();
  const done = Promise.all(
    workers.map(async (worker, at) => {
      for (let count = 1; !stopping.signal.aborted; count++) {
        const asked = compose(worker, `k${at}-${count}`, random);
        load.asked.push(asked);
        let problem = (await send(worker.client, asked)) ?? (await follow(worker.client, asked, random));
        asked.endedAt = Date.now();
        if (random.isTrue(0.1)) problem ??= await sendAgain(worker.client, asked);
        if (problem) load.wrong.push(`${asked.user} ${asked.key} ${asked.runId ?? ""}: ${problem}`);
        await pause(random.whole(50, 800));
      }
    }),
  ).then(() => undefined);
  return load;
}

function compose({ user, userId, agentId, isShell }: Worker, key: string, random: Random): Asked {
  const lines = random.whole(3, 250);
  const exitCode = random.isTrue(0.3) ? random.whole(1, 100) : 0;
  const seconds = random.pick(["0.01", "0.03", "0.05"]);
  // Some leave a process behind that would like to stay.
  const left = random.isTrue(0.2) ? "setsid sleep 7777 > /dev/null 2>&1 & " : "";
  const script = `${left}echo ${key} >> ran; for i in $(seq 1 ${lines}); do echo $i; sleep ${seconds}; done; exit ${exitCode}`;
  return {
    user,
    userId,
    agentId,
    key,
    prompt: isShell ? script : `Say hello to ${key} in one sentence.`,
    expected: isShell ? { lines, exitCode } : null,
    isCancelAsked: false,
    runId: null,
    sentAt: Date.now(),
    acceptedAt: 0,
    endedAt: 0,
    received: [],
    offset: 0,
    final: null,
  };
}

/** Repeats the call with its key until it is accepted; a sentence when that never is, or another run is answered. */
async function send(client: Client, asked: Asked): Promise<string | null> {
  const deadline = Date.now() + acceptMs;
  let last = "no answer";
  while (Date.now() < deadline) {
    const answer = await client
      .call<Run>("POST", `/v1/agents/${asked.agentId}/runs`, { prompt: asked.prompt }, { "idempotency-key": asked.key })
      .catch((error: unknown) => ({ status: 0, body: { id: String(error) } }) as never);
    if (answer.status === 202) {
      asked.runId = answer.body.id;
      asked.acceptedAt ||= Date.now();
      return null;
    }
    last = `${answer.status} ${JSON.stringify(answer.body).slice(0, 200)}`;
    if (answer.status >= 400 && ![401, 404, 409, 429, 500, 503].includes(answer.status))
      return `the message was answered ${last}`;
    await pause(300);
  }
  return `the message was not accepted within ${acceptMs / 1000} s: ${last}`;
}

/** The same message once more, after its end: it is the same run, and nothing starts. */
async function sendAgain(client: Client, asked: Asked): Promise<string | null> {
  const first = asked.runId;
  const problem = await send(client, asked);
  return problem ?? (asked.runId === first ? null : `the same key started another run: ${asked.runId}`);
}

/** Reads the run like a patient client, and cancels one in a while. */
async function follow(client: Client, asked: Asked, random: Random): Promise<string | null> {
  const runId = asked.runId!;
  const deadline = Date.now() + endMs;
  if (random.isTrue(0.08)) void cancelLater(client, asked, random.whole(0, 3000));
  while (Date.now() < deadline) {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), quietMs);
    const read = random.isTrue(0.3) ? readSocket : readStream;
    try {
      for await (const told of read(client, asked, silence.signal)) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), quietMs);
        if ("end" in told) asked.final = told.end;
        else if (told.offset <= asked.offset) return `a line came again: offset ${told.offset} after ${asked.offset}`;
        else {
          asked.offset = told.offset;
          asked.received.push(lineOf(asked, told.data));
        }
        if (asked.final) return null;
      }
    } catch {
      // The connection was lost, or the gateway has not been told of the run again yet.
    } finally {
      clearTimeout(timer);
    }
    await pause(200);
  }
  const answer = await client
    .call<Run>("GET", `/v1/runs/${runId}`)
    .catch((error: unknown) => ({ status: 0, body: String(error) }));
  return `its end was not told within ${endMs / 1000} s; the API says ${JSON.stringify(answer.body).slice(0, 300)}`;
}

/** What is compared of an output event: the text of a shell's line, the JSON of the real CLI's however it was written. */
export const lineOf = (asked: Asked, data: string): string =>
  asked.expected ? textOf(data) : JSON.stringify(JSON.parse(data));

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
  asked.isCancelAsked = true;
  await client.call("POST", `/v1/runs/${asked.runId}/cancel`).catch(() => undefined);
}
