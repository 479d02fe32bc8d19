/** The JSON in a model's answer, read as its bytes pass by: events of a stream, or a plain body. Holds no more than its bounds. */

export interface AnswerReader {
  push(chunk: Buffer): void;
  /** The answer ended whole. False: it was too large to be read. */
  end(): boolean;
}

const maxEventBytes = 1024 * 1024;
const maxBodyBytes = 16 * 1024 * 1024;

/** Reads a streamed answer (server-sent events), of which only those that may say something; a line longer than 1 MiB is passed over. */
export function readEvents(onEvent: (event: object) => void): AnswerReader {
  const lines = splitLines((line) => {
    const event = line.startsWith("data:") && /"(usage|error)"/.test(line) ? parseObject(line.slice(5)) : null;
    if (event) onEvent(event);
  });
  return { push: lines.push, end: () => true };
}

/** Reads a plain JSON answer of at most 16 MiB. */
export function readBody(onBody: (body: object) => void): AnswerReader {
  let chunks: Buffer[] = [];
  let size = 0;
  return {
    push(chunk) {
      size += chunk.length;
      if (size <= maxBodyBytes) chunks.push(chunk);
      else chunks = [];
    },
    end() {
      if (size > maxBodyBytes) return false;
      const body = parseObject(Buffer.concat(chunks).toString());
      if (body) onBody(body);
      return true;
    },
  };
}

/** Cuts bytes into lines; what a line has beyond the bound is dropped with the line. */
function splitLines(onLine: (line: string) => void) {
  let held: Buffer[] = [];
  let size = 0;
  const take = (piece: Buffer) => {
    size += piece.length;
    if (size <= maxEventBytes) held.push(piece);
    else held = [];
  };
  return {
    push(chunk: Buffer) {
      let start = 0;
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
        take(chunk.subarray(start, end));
        if (size <= maxEventBytes) onLine(Buffer.concat(held).toString());
        held = [];
        size = 0;
        start = end + 1;
      }
      take(chunk.subarray(start));
    },
  };
}

function parseObject(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}
