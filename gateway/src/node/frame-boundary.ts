/** Follows the frames of a WebSocket stream (RFC 6455, section 5.2) by their headers alone, to know when a frame of our own may come in between. */

/** Follows a stream from its beginning, which may have come already. */
export function watchFrames(beginning: Uint8Array) {
  let header: number[] = [];
  let payloadLeft = 0;
  /** Takes the next bytes of the stream. */
  const note = (chunk: Uint8Array): void => {
    for (let at = 0; at < chunk.length;) {
      if (payloadLeft > 0) {
        const passed = Math.min(payloadLeft, chunk.length - at);
        payloadLeft -= passed;
        at += passed;
        continue;
      }
      header.push(chunk[at++]!);
      const length = payloadLength(header);
      if (length === null) continue;
      payloadLeft = length;
      header = [];
    }
  };
  note(beginning);
  /** Whether the stream stands between two frames. */
  return { note, atBoundary: () => header.length === 0 && payloadLeft === 0 };
}

/** The payload's length once the header is whole, else null. */
function payloadLength(header: number[]): number | null {
  if (header.length < 2) return null;
  const short = header[1]! & 0x7f;
  const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0;
  const maskBytes = header[1]! & 0x80 ? 4 : 0;
  if (header.length < 2 + lengthBytes + maskBytes) return null;
  if (lengthBytes === 0) return short;
  return header.slice(2, 2 + lengthBytes).reduce((length, byte) => length * 256 + byte, 0);
}
