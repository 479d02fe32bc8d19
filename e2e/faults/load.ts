/** What users do while things break: they send messages with a key, repeat the call until it is accepted, and read to the end. */
import type { Run } from "@berth/shared/resources";
import { type Client, textOf } from "../client.ts";
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
  endedAt: number;
  received: string[];
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
        const problem = (await send(worker.client, asked)) ?? (await follow(worker.client, asked, random));
        asked.endedAt = Date.now();
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
  const script = `echo ${key} >> ran; for i in $(seq 1 ${lines}); do echo $i; sleep ${seconds}; done; exit ${exitCode}`;
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
    endedAt: 0,
    received: [],
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
      return null;
    }
    last = `${answer.status} ${JSON.stringify(answer.body).slice(0, 200)}`;
    if (answer.status >= 400 && ![401, 404, 409, 429, 500, 503].includes(answer.status))
      return `the message was answered ${last}`;
    await pause(300);
  }
  return `the message was not accepted within ${acceptMs / 1000} s: ${last}`;
}

/** Reads the run like a patient client, and cancels one in a while. */
async function follow(client: Client, asked: Asked, random: Random): Promise<string | null> {
  const runId = asked.runId!;
  const deadline = Date.now() + endMs;
  if (random.isTrue(0.08)) void cancelLater(client, asked, random.whole(0, 3000));
  let at = 0;
  while (Date.now() < deadline) {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), quietMs);
    try {
      let isFirst = true;
      for await (const event of client.events(runId, at, silence.signal)) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), quietMs);
        if (event.event === "output") {
          const next = Number(event.id);
          if (next <= at) return `a line came again: offset ${next} after ${at}`;
          at = next;
          asked.received.push(asked.expected ? textOf(event.data) : event.data);
        } else {
          const run = JSON.parse(event.data) as Run;
          if (!isFirst && run.endedAt) {
            asked.final = run;
            return null;
          }
        }
        isFirst = false;
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

async function cancelLater(client: Client, asked: Asked, ms: number): Promise<void> {
  await pause(ms);
  asked.isCancelAsked = true;
  await client.call("POST", `/v1/runs/${asked.runId}/cancel`).catch(() => undefined);
}
