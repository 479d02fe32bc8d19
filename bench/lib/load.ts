/** Answers a second over kept connections, by a client that costs little beside the server. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

const connections = 32;
const roundMs = 2000;
/** How long, and how often at most. */
export interface Bound {
  ms: number;
  answers: number;
}
const round: Bound = { ms: roundMs, answers: Number.POSITIVE_INFINITY };

interface Sent {
  headers: Record<string, string>;
  body?: string;
}

/** Each connection asks again once it was answered, so long or so often. All answers must be of one length: counting bytes counts answers. */
export async function load(method: string, address: string, next: () => Sent, most = round): Promise<number> {
  const url = new URL(address);
  const write = (socket: Socket) => void socket.write(requestOf(method, url, next()));
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(Number(url.port))));
  const length = await lengthOfAnswer(sockets[0]!, write);
  let answers = 0;
  const startedAt = performance.now();
  const isOver = () => answers >= most.answers || performance.now() - startedAt > most.ms;
  await Promise.all(
    sockets.map(async (socket) => {
      let received = 0;
      socket.on("data", (chunk: Buffer) => {
        // One is asked for at a time: what comes first is its status, and nothing is left once it is whole.
        const isOther = received === 0 && !chunk.toString("latin1", 0, 10).startsWith("HTTP/1.1 2");
        received += chunk.length;
        if (isOther || received > length) return void socket.destroy(new Error(`another answer: ${String(chunk)}`));
        if (received < length) return;
        received = 0;
        answers++;
        if (isOver()) socket.destroy();
        else write(socket);
      });
      write(socket);
      await once(socket, "close");
    }),
  );
  return (answers * 1000) / (performance.now() - startedAt);
}

function requestOf(method: string, url: URL, { headers, body = "" }: Sent): string {
  const all = { host: url.host, ...headers, ...(body && { "content-length": String(Buffer.byteLength(body)) }) };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${url.pathname} HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  return socket;
}

async function lengthOfAnswer(socket: Socket, write: (socket: Socket) => void): Promise<number> {
  let text = "";
  const read = (chunk: Buffer) => void (text += chunk.toString("latin1"));
  socket.on("data", read);
  write(socket);
  while (!/^HTTP\/1.1 \d+ .*\r\n\r\n/s.test(text) || !isWhole(text)) await once(socket, "data");
  socket.off("data", read);
  if (!/^HTTP\/1.1 2/.test(text)) throw new Error(text);
  return text.length;
}

function isWhole(text: string): boolean {
  const body = text.slice(text.indexOf("\r\n\r\n") + 4);
  const declared = /^content-length: (\d+)/im.exec(text)?.[1];
  return declared === undefined ? body.endsWith("0\r\n\r\n") : body.length >= Number(declared);
}
