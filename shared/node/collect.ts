/** All of a stream in one buffer; null, and the stream let go of, once it is more than `maxBytes`. */
export async function collect(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  maxBytes: number,
): Promise<Buffer<ArrayBuffer> | null> {
  const kept: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > maxBytes) return null;
    kept.push(chunk);
  }
  return Buffer.concat(kept);
}
