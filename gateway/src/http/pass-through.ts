/** Bodies of a host on their way to a client: a break at the host must be a break for the client, never an orderly end. */

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
          const read = await within(silenceMs, reader);
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

/** The next bytes. A connection that was cut without a word never ends by itself: past `ms` it is given up. */
async function within(ms: number | undefined, reader: ReadableStreamDefaultReader<Uint8Array>) {
  if (ms === undefined) return reader.read();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("the host has been silent for too long")), ms);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } catch (error) {
    reader.cancel(error).catch(() => {});
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
