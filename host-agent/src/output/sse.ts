/** A run's events as Server-Sent Events (WHATWG HTML, section 9.2): `output` with the byte offset as id, and `run`. */
import type { RunEvent } from "./follow.ts";

/** The events as text, in chunks; one chunk is at most about one batch of lines. */
export async function* toEventStream(events: AsyncIterable<RunEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    if (event.kind === "idle") yield ": still here\n\n";
    else if (event.kind === "run") yield `event: run\ndata: ${JSON.stringify(event.run)}\n\n`;
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

/** Backpressure: nothing is read from the log before the client has taken what was read before. */
export function toBody(chunks: AsyncGenerator<string>, onClose: () => void): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await chunks.next();
          if (!done) return controller.enqueue(encoder.encode(value));
          onClose();
          controller.close();
        } catch (error) {
          onClose();
          controller.error(error);
        }
      },
      cancel() {
        onClose();
      },
    },
    { highWaterMark: 0 },
  );
}
