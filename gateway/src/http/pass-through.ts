/** Bodies of a host on their way to a client: a break at the host must be a break for the client, never an orderly end. */
import { withDeadline } from "@berth/shared/wait";

/**
 * The same bytes with the same backpressure. When the source fails, or says nothing for `silenceMs` while it is asked,
 * `breakOff` cuts the client's connection; without one the runtime cuts it by itself, and passes the body unseen.
 */
export function passThrough(
  body: ReadableStream<Uint8Array>,
  breakOff: (() => void) | undefined,
  silenceMs?: number,
): ReadableStream<Uint8Array> {
  if (!breakOff) return body;
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          // A connection that was cut without a word never ends by itself.
          const next = () => reader.read();
          const read = await (silenceMs === undefined ? next() : withDeadline(silenceMs, next, tellSilence));
          if (read.done) controller.close();
          else controller.enqueue(read.value);
        } catch (error) {
          reader.cancel(error).catch(() => {});
          breakOff();
          controller.close();
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

const tellSilence = () => new Error("the host has been silent for too long");
