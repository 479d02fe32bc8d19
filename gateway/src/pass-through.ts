/** Bodies of a host on their way to a client: a break at the host must be a break for the client, never an orderly end. */

/**
 * The same bytes with the same backpressure. When the source fails, `breakOff` cuts the client's connection; without
 * one the runtime cuts it by itself, and passes the body unseen.
 */
export function passThrough(
  body: ReadableStream<Uint8Array>,
  breakOff: (() => void) | undefined,
): ReadableStream<Uint8Array> {
  if (!breakOff) return body;
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const read = await reader.read();
          if (read.done) controller.close();
          else controller.enqueue(read.value);
        } catch {
          breakOff();
          controller.close();
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
