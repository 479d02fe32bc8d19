/** The events of a run that still waits at the gateway: the run as it is, signs of life, and then what its host sends. */
import { AppError, nullIfRefused } from "@berth/shared/errors";
import { isEnded, type Run } from "@berth/shared/resources";
import { sleep } from "@berth/shared/wait";

/** Polling interval of the database; also how soon a revoked credential ends the stream. */
const pollMs = 500;
/** Where each poll is a query of few that a call has: a longer interval, and how long until the client connects again. */
export const metered = { pollMs: 2000, mostMs: 200_000 };
const silenceMs = 10_000;

/** Of one user at once, on all of their pages and programs together, as at a host. */
const mostOfUser = 100;
/** A stream that nobody has read from for so long, or whose end nobody told, ends where its user opens another. */
const readMs = 3 * silenceMs;
/** Of the first event of a host's stream: a run with a prompt and a result of 1 MiB each, escaped. */
const firstEventBytes = 16 * 2 ** 20;
/** When each was read from last. Of this process alone. */
const open = new Map<string, Set<{ readAt: number; gone: AbortController }>>();

interface PendingSource {
  userId: string;
  /** The run's status now. Throws when the caller may not see it any more. */
  look(): Promise<Run["status"]>;
  load(): Promise<Run>;
  /** The host's own stream from the beginning, opened once the run is no longer pending. */
  openHost(): Promise<ReadableStream<Uint8Array>>;
  /** The interval of polls, and after how long the stream ends though the run waits on. */
  pace?: typeof metered | undefined;
}

/**
 * A stream of server-sent events that outlives the wait: it goes over into the host's, whose first event it swallows where that tells
 * an end. Throws `rate_limited` where the user has too many.
 */
export function streamPending(first: Run, source: PendingSource): ReadableStream<Uint8Array> {
  const gone = new AbortController();
  const counted = count(source.userId, gone);
  const chunks = tellPending(first, source, gone.signal);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        counted.note();
        const { done, value } = await chunks.next().catch((error: unknown) => {
          counted.end();
          throw error;
        });
        if (!done) return controller.enqueue(value);
        counted.end();
        controller.close();
      },
      cancel() {
        counted.end();
        gone.abort();
      },
    },
    { highWaterMark: 0 },
  );
}

function count(userId: string, gone: AbortController) {
  const all = open.get(userId) ?? new Set();
  for (const one of all) if (performance.now() - one.readAt > readMs && all.delete(one)) one.gone.abort();
  if (all.size >= mostOfUser) {
    const detail = `This user has ${mostOfUser} streams of runs that wait open already: close some of them.`;
    throw new AppError("rate_limited", detail, { limit: mostOfUser, retryAfter: 10 });
  }
  const one = { readAt: performance.now(), gone };
  open.set(userId, all.add(one));
  return {
    note: () => void (one.readAt = performance.now()),
    end() {
      all.delete(one);
      if (all.size === 0 && open.get(userId) === all) open.delete(userId);
    },
  };
}

/** The events of a run that ended before any host had it. */
export function endedEvents(run: Run): string {
  return runEvent(run) + runEvent(run);
}

async function* tellPending(
  first: Run,
  { look, load, openHost, pace = { pollMs, mostMs: Infinity } }: PendingSource,
  gone: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  yield encoder.encode(runEvent(first));
  let run = first;
  const endsAt = performance.now() + pace.mostMs;
  for (let quietMs = 0; run.status === "pending"; quietMs += pace.pollMs) {
    if (performance.now() >= endsAt) return;
    if (quietMs >= silenceMs) {
      yield encoder.encode(": still here\n\n");
      quietMs = 0;
    }
    await sleep(pace.pollMs);
    // Refused, it ends: the client connects again and is told why, as after any stream that ends without a final event.
    const now = gone.aborted ? null : await look().catch(nullIfRefused);
    if (!now) return;
    if (now === run.status) continue;
    const changed = await load().catch(nullIfRefused);
    if (!changed) return;
    run = changed;
  }
  if (isEnded(run.status) && run.startedAt === null) return void (yield encoder.encode(runEvent(run)));
  const body = await openHost().catch(nullIfRefused);
  if (body) yield* withoutEndedFirst(body, gone);
}

const runEvent = (run: Run) => `event: run\ndata: ${JSON.stringify(run)}\n\n`;

/**
 * The host begins with the run as it is. Where that says an end already, it is left out: output follows, and only the
 * last `run` event of a stream may tell the end.
 */
async function* withoutEndedFirst(body: ReadableStream<Uint8Array>, gone: AbortSignal): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  gone.addEventListener("abort", () => void reader.cancel());
  const buffer = new ArrayBuffer(0, { maxByteLength: firstEventBytes });
  const head = new Uint8Array(buffer);
  let isWhole = false;
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    if (isWhole) {
      yield read.value;
      continue;
    }
    const seen = head.length;
    // A host may be anybody's by now.
    if (seen + read.value.length > firstEventBytes) return await reader.cancel();
    buffer.resize(seen + read.value.length);
    head.set(read.value, seen);
    const end = findBlank(head, Math.max(0, seen - 1));
    if (end === -1) continue;
    const block = new TextDecoder().decode(head.slice(0, end));
    yield head.slice(tellsEnd(block) ? end + 2 : 0);
    buffer.resize(0);
    isWhole = true;
  }
}

/** Where the first empty line ends what is before it, looked for from `from` on; -1 where there is none. */
function findBlank(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(10, from); at !== -1; at = bytes.indexOf(10, at + 1)) if (bytes[at + 1] === 10) return at;
  return -1;
}

function tellsEnd(block: string): boolean {
  const data = /^data: (.*)$/m.exec(block)?.[1];
  return data !== undefined && block.startsWith("event: run") && (JSON.parse(data) as Run).endedAt !== null;
}
