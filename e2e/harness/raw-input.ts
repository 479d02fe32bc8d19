/**
 * Fuzzing of servers by their sockets: requests of every kind, whole and broken, upgrades and frames, in pieces and with every kind of
 * end. What is sent follows from the seed alone. Knows no server.
 */
import { connect, type NetConnectOpts } from "node:net";

/** What requests are made of; each is taken as bytes. */
export interface Words {
  /** Heads that mean something here, which chance alone would seldom find; each is followed by one of the bodies. */
  heads: string[];
  methods: string[];
  targets: string[];
  headers: string[];
  bodies: string[];
}
interface RawConnection {
  pieces: Buffer[];
  /** Between them: time for an answer, so that the next finds the server in another state. */
  pauseMs: number;
  isRead: boolean;
  end: "end" | "destroy" | "reset";
  waitMs: number;
}
type Chance = () => number;

const atOnce = 16;
/** A server lets go of whoever has said that he is done. */
const mostMs = 500;

/** Makes so many connections, some at once. */
export async function throwRawInput(at: NetConnectOpts, words: Words, seed: number, count: number): Promise<void> {
  const chance = chanceOf(seed);
  const all = Array.from({ length: count }, () => makeConnection(chance, words));
  const lane = async () => {
    for (let next = all.pop(); next; next = all.pop()) await throwOne(at, next);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

async function throwOne(at: NetConnectOpts, { pieces, pauseMs, isRead, end, waitMs }: RawConnection): Promise<void> {
  const socket = connect(at);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => undefined);
  if (isRead) socket.resume();
  for (const piece of pieces) {
    if (socket.destroyed) break;
    const written = new Promise<void>((resolve) => socket.write(piece, () => setTimeout(resolve, pauseMs)));
    await Promise.race([closed, written]);
  }
  // A Unix socket knows no reset.
  const leave = () => void (end === "reset" && "port" in at ? socket.resetAndDestroy() : socket.destroy());
  if (end === "end") socket.end();
  const timer = setTimeout(leave, end === "end" ? mostMs : waitMs);
  await closed;
  clearTimeout(timer);
}

function makeConnection(chance: Chance, words: Words): RawConnection {
  const requests = Array.from({ length: 1 + below(chance, 3) }, () => makeRequest(chance, words));
  const isSlow = chance() < 0.2;
  const bytes = (text: string) => spoil(chance, Buffer.from(text, "latin1"));
  return {
    pieces: isSlow ? requests.map(bytes) : cut(chance, bytes(requests.join(""))),
    pauseMs: isSlow ? 30 : 0,
    isRead: chance() < 0.6,
    end: pick(chance, ["end", "destroy", "reset"]),
    waitMs: below(chance, 20),
  };
}

function makeRequest(chance: Chance, { heads, methods, targets, headers, bodies }: Words): string {
  if (chance() < 0.3) return `${pick(chance, heads)}\r\n\r\n${pick(chance, bodies)}`;
  const lines = Array.from({ length: below(chance, 4) }, () => `${pick(chance, headers)}\r\n`);
  const version = chance() < 0.95 ? "HTTP/1.1" : pick(chance, ["HTTP/1.0", "HTTP/2.0", "HTTP/9", "", "http/1.1"]);
  const host = chance() < 0.8 ? "host: a\r\n" : "";
  return `${pick(chance, methods)} ${pick(chance, targets)} ${version}\r\n${host}${lines.join("")}\r\n${pick(chance, bodies)}`;
}

/** Some bytes are others, some are missing, some come again. */
function spoil(chance: Chance, bytes: Buffer): Buffer {
  if (chance() < 0.7) return bytes;
  const [from, to] = [below(chance, bytes.length), below(chance, bytes.length)];
  const kind = below(chance, 3);
  if (kind === 0) return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  for (let count = 1 + below(chance, 4); count > 0; count--) bytes[below(chance, bytes.length)] = below(chance, 256);
  return kind === 1 ? bytes : bytes.subarray(0, from);
}

function cut(chance: Chance, bytes: Buffer): Buffer[] {
  const at = Array.from({ length: below(chance, 4) }, () => below(chance, bytes.length + 1)).toSorted((a, b) => a - b);
  return [...at, bytes.length].map((end, index) => bytes.subarray(at[index - 1] ?? 0, end));
}

/** Mulberry32. */
function chanceOf(seed: number): Chance {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
const below = (chance: Chance, end: number) => Math.floor(chance() * end);
const pick = <T>(chance: Chance, all: T[]): T => all[below(chance, all.length)]!;
