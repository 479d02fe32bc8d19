/**
 * Named origins: calls of a workspace that go on with a credential of its user's, which nobody inside ever sees. Whose workspace
 * calls is known by its proxy. Revocation ends what is under way.
 */
import type { IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { type Log, messageOf } from "@berth/shared/log";
import { parseTarget, type Target } from "../egress/policy.ts";
import type { OriginCall } from "../egress/proxy.ts";
import type { CredentialKind, CredentialRow, Credentials } from "../store/credentials.ts";
import { createOpenCalls } from "./open-calls.ts";
import { answerText, pass, secure } from "./forward.ts";
import {
  basicOf,
  decideGit,
  decideSecret,
  type GitAbout,
  isOrigin,
  parseOrigin,
  type Passed,
  type SecretAbout,
} from "./rules.ts";

export interface OriginsDeps {
  credentials: Pick<Credentials, "find" | "noteUse">;
  log: Log;
}
export type Origins = ReturnType<typeof createOrigins>;

export function createOrigins({ credentials, log }: OriginsDeps) {
  const calls = createOpenCalls();

  async function serve(call: OriginCall): Promise<void> {
    const { userId, res, req, path } = call;
    if (!(await calls.takeTurn(userId, res)))
      return answerText(res, 503, "Too many calls with your credentials are open: make fewer at once.");
    const chosen = choose(credentials, call);
    if ("sentence" in chosen) {
      log.info("origin.refused", { userId, reason: chosen.sentence });
      req.resume();
      return answerText(res, 403, `Berth refuses this: ${chosen.sentence}.`);
    }
    const { kind, name, passed } = chosen;
    const forget = calls.track(userId, kind, name, () => res.destroy());
    res.once("close", forget);
    const body = passed.isDownload ? await readDownload(req) : null;
    if (passed.isDownload && !body)
      return answerText(res, 403, `Berth refuses this: the credential for ${name} is read-only.`);
    const socket = await call.reach(targetOf(passed), kind === "git");
    if (!socket || res.destroyed) return void socket?.destroy();
    res.once("close", () => socket.destroy());
    const connection = await secure(socket, passed.authority).catch((error: unknown) => {
      const reason = messageOf(error).slice(0, 200);
      log.warn("origin.unsecured", { userId, host: passed.authority, reason });
      answerText(res, 502, `Berth has no secure connection to ${passed.authority}: ${reason}.`);
    });
    if (!connection || res.destroyed) return void connection?.destroy();
    credentials.noteUse(userId, kind, name);
    const headers = {
      ...passedUp(kind, req, body),
      [passed.header[0]]: passed.header[1],
    };
    const sending = { authority: passed.authority, method: req.method!, path, headers };
    const { secrets, refused } = chosen;
    pass(connection, { sending, req, res, body, secrets, refused, origin: call.authority });
  }

  return {
    isOrigin,
    /** Answers one call, whatever comes of it. */
    serve(call: OriginCall): void {
      // Whoever is a part of the way ends with it.
      call.res.setMaxListeners(20).on("error", () => call.res.destroy());
      serve(call).catch((error: unknown) => {
        log.error("origin.failed", { userId: call.userId, error: messageOf(error) });
        answerText(call.res, 502, "Berth could not pass this call on.");
      });
    },
    track: calls.track,
    end: calls.end,
  };
}

/** The credential that a call is for, and whether it is for this call. */
function choose(credentials: OriginsDeps["credentials"], { userId, authority, path, req }: OriginCall) {
  const origin = parseOrigin(authority);
  const method = req.method ?? "";
  if (!origin)
    return { sentence: "there is no such name here; it is HOST.git.berth.internal or NAME.secret.berth.internal" };
  const { kind, name } = origin;
  if (kind === "git") {
    const row = credentials.find<GitAbout>(userId, kind, name);
    if (!row) return { sentence: `you have no credential for git at ${name} (PUT /v1/git-credentials/${name})` };
    const about = { ...row.about, value: row.value };
    const passed = decideGit(about, name, method, path);
    const sentence = `${name} refuses your credential: replace it by PUT /v1/git-credentials/${name}.`;
    return passed.isPassed
      ? { ...chosen(origin, passed, row, [basicOf(about)]), refused: refusal(403, sentence) }
      : passed;
  }
  const row = credentials.find<SecretAbout>(userId, kind, name);
  if (!row) return { sentence: `you have no secret ${name} (PUT /v1/secrets/${name})` };
  const passed = decideSecret({ ...row.about, name, value: row.value }, origin.host, method, path);
  if (!passed.isPassed) return passed;
  const sentence = `${passed.authority} refuses the secret ${name}: replace it by PUT /v1/secrets/${name}.`;
  return { ...chosen(origin, passed, row, []), refused: refusal(401, sentence) };
}

const refusal = (status: number, sentence: string): [number, string] => [status, sentence];

function chosen(
  { kind, name }: { kind: CredentialKind; name: string },
  passed: Passed,
  { value }: CredentialRow<unknown> & { value: string },
  more: string[],
) {
  return { kind, name, passed, secrets: [...new Set([...more, ...spellingsOf(value)])] };
}

/** A value as answers repeat it: plain, in JSON, in an address, encoded. */
export const spellingsOf = (value: string): string[] => [
  value,
  JSON.stringify(value).slice(1, -1),
  encodeURIComponent(value),
  Buffer.from(value).toString("base64"),
];

/** The authorities of credentials are names. */
export const targetOf = ({ authority }: Pick<Passed, "authority">): Target => parseTarget(authority, 443)!;

const ofGit = /^(accept|accept-language|content-type|content-length|content-encoding|user-agent|git-protocol)$/;
/** For one connection alone, or read by some servers as another method, path or host than the one that was looked at. */
const notPassedUp =
  /^(host|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|accept-encoding|forwarded|x-forwarded-.*|x-original-.*|x-rewrite-.*|x-http-method.*|x-method-.*)$/;

function passedUp(kind: CredentialKind, { headers }: IncomingMessage, body: Buffer | null): OutgoingHttpHeaders {
  const isPassed = (name: string) => (kind === "git" ? ofGit.test(name) : !notPassedUp.test(name));
  const passed = Object.entries(headers).filter(([name]) => isPassed(name));
  return { ...Object.fromEntries(passed), ...(body && { "content-length": String(body.length) }) };
}

const downloadMaxBytes = 131_072;

/** The body of a batch of LFS that only downloads, written anew so that no reader finds more in it; null for every other. */
async function readDownload(req: IncomingMessage): Promise<Buffer | null> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > downloadMaxBytes) return null;
    pieces.push(piece);
  }
  try {
    const batch = JSON.parse(Buffer.concat(pieces).toString()) as { operation?: unknown };
    return batch.operation === "download" ? Buffer.from(JSON.stringify(batch)) : null;
  } catch {
    return null;
  }
}
