/** A run's events as Server-Sent Events (WHATWG HTML, section 9.2): `output` with the byte offset as id, and `run`. */
import type { RunEvent } from "./follow.ts";

/** The events as text or its bytes, in chunks; one chunk is at most about one batch of lines. */
async function* toEventStream(events: AsyncIterable<RunEvent<Uint8Array>>): AsyncGenerator<string | Uint8Array> {
  for await (const event of events) {
    if (event.kind === "idle") yield ": still here\n\n";
    else if (event.kind === "run") yield `event: run\ndata: ${JSON.stringify(event.run)}\n\n`;
    else if (event.lines instanceof Uint8Array) yield event.lines;
    else {
      let text = "";
      for (const { offset, data } of event.lines) {
        const head = `id: ${offset}\nevent: output\ndata: `;
        if (typeof data === "string") text += `${head}${data}\n\n`;
        else {
          yield text + head;
          for await (const chunk of data) yield chunk;
          text = "\n\n";
        }
      }
      if (text) yield text;
    }
  }
}

/** Whoever takes nothing for so long is let go, and goes on by offset: a heartbeat comes each 10 s, and who reads takes it. */
const longestStallMs = 300_000;

/**
 * Backpressure: nothing is read from the log before the client has taken what was read before. It ends, and lets go
 * of the log at once, when its reader leaves and when `register`ed `end` is called: also in the midst of what a reader
 * that stalls has not taken. One that stalls for `stallMs` has its stream broken off. Where the log cannot be read the
 * stream ends as if the connection was lost, and `failed` is told why: the server would write the error into the stream.
 */
export function toBody(
  events: (signal: AbortSignal) => AsyncIterable<RunEvent<Uint8Array>>,
  register: (end: () => void) => () => void,
  failed: (error: unknown) => void = () => {},
  stallMs = longestStallMs,
): ReadableStream<Uint8Array> {
  const gone = new AbortController();
  let stalled: NodeJS.Timeout | undefined;
  const chunks = toEventStream(events(gone.signal));
  const unregister = register(end);
  function end(): void {
    clearTimeout(stalled);
    unregister();
    gone.abort();
    void chunks.return(undefined);
  }
  function breakOff(controller: ReadableStreamDefaultController<Uint8Array>): void {
    end();
    controller.error(new Error("the reader has stalled"));
  }
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        clearTimeout(stalled);
        try {
          const { done, value } = await chunks.next();
          if (!done) {
            stalled = setTimeout(breakOff, stallMs, controller).unref();
            return controller.enqueue(typeof value === "string" ? encoder.encode(value) : value);
          }
        } catch (error) {
          if (!gone.signal.aborted) failed(error);
        }
        end();
        controller.close();
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
}
