/**
 * One call on its way to a real host: over TLS that is verified, with the credential put in, the answer back with every trace of
 * it masked. Streams both ways; whoever ends ends the other side.
 */
import http from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { pipeline, Readable } from "node:stream";
import tls from "node:tls";
import { collect } from "@berth/shared/node/collect";
import { createMask, type Mask } from "../model/mask.ts";
import { lfsMaxBytes, withoutCredentials } from "./lfs.ts";
import type { Passed } from "./rules.ts";

/** Where a call goes and with what. */
export interface Sending {
  /** Of https: a name, with its port where that is not 443. */
  authority: string;
  path: string;
  method: string;
  headers: http.OutgoingHttpHeaders;
}
const handshakeMs = 10_000;
/** Idle timeout: so long nothing may move. */
const idleMs = 600_000;

/** A connection to the target, its certificate verified for its name. Throws what made it fail. */
export async function secure(socket: Socket, authority: string): Promise<tls.TLSSocket> {
  const secured = tls.connect({
    socket,
    servername: authority.split(":")[0]!,
    ALPNProtocols: ["http/1.1"],
    rejectUnauthorized: true,
  });
  try {
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("the handshake took too long")), handshakeMs);
      secured
        .once("close", () => clearTimeout(late))
        .once("close", () => reject(new Error("the connection was closed")));
      secured.once("error", reject).once("secureConnect", () => {
        clearTimeout(late);
        resolve();
      });
    });
  } catch (error) {
    secured.on("error", () => undefined).destroy();
    throw error;
  }
  return secured.on("error", () => secured.destroy()).setTimeout(idleMs, () => secured.destroy());
}

/** The request over that connection, whose answer the caller waits for. */
export const send = (connection: tls.TLSSocket, { authority, method, path, headers }: Sending): http.ClientRequest =>
  http.request({
    createConnection: () => connection,
    setHost: false,
    method,
    path,
    headers: { ...headers, host: authority, "accept-encoding": "identity", connection: "close" },
  });

export interface Passing {
  sending: Sending;
  req: IncomingMessage;
  res: ServerResponse;
  /** The body, where it was read already. */
  body: Buffer | null;
  /** All that is masked: the credential in its spellings. */
  secrets: string[];
  /** What an upstream's 401 becomes: not its own words, for some repeat a part of what they refuse. */
  refused: [status: number, sentence: string];
  /** What of LFS it is: an answer of its API is read before it passes. */
  lfs: Passed["lfs"];
  /** Where the client asked: what leads on to the same host leads there. */
  origin: string;
}

/** Sends the call on, and its answer back. */
export function pass(connection: tls.TLSSocket, passing: Passing): void {
  const { sending, req, res, body } = passing;
  const sent = send(connection, sending);
  const fail = () => {
    req.unpipe(sent).resume();
    answerText(res, 502, `Berth has no answer of ${sending.authority}.`);
  };
  sent.on("error", fail).on("close", () => void (res.headersSent || fail()));
  sent.on("response", (answer) => passAnswer(answer, passing));
  res.on("close", () => sent.destroy());
  (body ? Readable.from([body]) : req).pipe(sent);
}

const notPassedDown =
  /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|set-cookie2?|www-authenticate|authorization|alt-svc|strict-transport-security)$/;

/** More than an API answers with: each is looked through for the credential in all its spellings. */
const mostHeaders = 100;

function passAnswer(answer: IncomingMessage, { sending, res, secrets, refused, lfs, origin }: Passing): void {
  const status = answer.statusCode ?? 0;
  const { authority } = sending;
  const refuse = (code: number, sentence: string) => {
    answer.resume();
    answerText(res, code, sentence);
  };
  if (status < 200 || status > 999) return refuse(502, `Berth has no answer of ${authority}.`);
  if (status === 401) return refuse(...refused);
  if (answer.rawHeaders.length > 2 * mostHeaders)
    return refuse(502, `${authority} answers with more than ${mostHeaders} headers.`);
  // Nobody asked for one: the credential in it would not be seen.
  if ((answer.headers["content-encoding"] ?? "identity") !== "identity")
    return refuse(502, `${authority} answers in an encoding that nobody asked for.`);
  const { location } = answer.headers;
  const elsewhere = location === undefined ? null : readRedirect(location, sending, origin);
  if (elsewhere && "host" in elsewhere)
    return refuse(
      502,
      `${authority} leads on to ${elsewhere.host}, and a credential goes nowhere but to its own host.`,
    );
  const mask = createMask(...secrets);
  const headers = Object.entries({ ...answer.headers, ...(elsewhere && { location: elsewhere.location }) })
    .filter(([name]) => !notPassedDown.test(name) && !mask.isInName(name))
    .map(([name, value]) => [name, mask.text(String(value))]);
  if (res.destroyed) return;
  const isOfLfs =
    lfs === "api" || (lfs === "object" && /\bgit-lfs\+json\b/i.test(answer.headers["content-type"] ?? ""));
  if (isOfLfs) return void passLfs(answer, { authority, res, mask, headers: Object.fromEntries(headers) });
  res.writeHead(status, Object.fromEntries(headers)).flushHeaders();
  pipeline([answer, ...mask.streams(), res], (error) => void (error && res.destroy()));
}

interface LfsAnswer {
  authority: string;
  res: ServerResponse;
  mask: Mask;
  headers: http.OutgoingHttpHeaders;
}

/** Of LFS's API an answer passes whole, without what would be a credential in it; of one that is no JSON the status, if it is an error. */
async function passLfs(answer: IncomingMessage, { authority, res, mask, headers }: LfsAnswer): Promise<void> {
  const status = answer.statusCode!;
  const isRead = status < 300 || status >= 400;
  const bytes = await collect(answer, lfsMaxBytes).catch(() => null);
  if (res.destroyed) return;
  const body = isRead && bytes && bytes.length > 0 ? withoutCredentials(bytes, authority) : bytes && Buffer.alloc(0);
  if (!body && status >= 400) return answerText(res, status, `${authority} answers with status ${status}.`);
  if (!body) return answerText(res, 502, `${authority} answers LFS with no JSON, or with more than Berth reads.`);
  const masked = Buffer.from(mask.text(body.toString()));
  res.writeHead(status, { ...headers, "content-length": String(masked.length) }).end(masked);
}

/** Where an answer leads on: to the same host by way of the origin, or to another, which is named. */
function readRedirect(location: string, { authority, path }: Sending, origin: string) {
  const base = `https://${authority}`;
  const url = URL.parse(location, base + path);
  if (url?.origin === base) return { location: `http://${origin}${url.pathname}${url.search}` };
  return { host: /^[\w.:-]{1,260}$/.test(url?.host ?? "") ? url!.host : "another place" };
}

/** A sentence for a person: git shows it as the remote's. */
export function answerText(res: ServerResponse, status: number, sentence: string): void {
  if (res.headersSent) return void res.destroy();
  const body = `${sentence}\n`;
  const headers = { "content-type": "text/plain; charset=utf-8", "content-length": String(Buffer.byteLength(body)) };
  res.writeHead(status, { ...headers, connection: "close" }).end(body);
}
