/**
 * Named origins: calls of a workspace that go on with a credential of its user's, which nobody inside ever sees. Whose workspace
 * calls is known by its proxy. Revocation ends what is under way.
 */
import type { IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { parseSmall } from "@berth/shared/bounds/json-scan";
import { type Log, messageOf } from "@berth/shared/log";
import { collect } from "@berth/shared/node/collect";
import { parseTarget, type Target } from "../egress/policy.ts";
import type { OriginCall } from "../egress/proxy.ts";
import type { CredentialKind, Credentials } from "../store/credentials.ts";
import { createOpenCalls } from "./open-calls.ts";
import { answerText, pass, type Passing, secure } from "./forward.ts";
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
    if (res.destroyed) return;
    const chosen = choose(credentials, call);
    if ("sentence" in chosen) {
      call.refused(chosen.sentence);
      req.resume();
      return answerText(res, 403, `Berth refuses this: ${chosen.sentence}.`);
    }
    const { kind, name, passed } = chosen;
    const forget = calls.track(userId, kind, name, () => res.destroy());
    res.once("close", forget);
    const body = passed.isDownload ? await readDownload(req) : null;
    if (passed.isDownload && !body)
      return answerText(res, 403, `Berth refuses this: the credential for ${name} is read-only.`);
    const isGranted = kind === "git" && passed.header !== null;
    const socket = await call.reach(targetOf(passed), isGranted, passed.header ? null : chosen.refused[1]);
    if (!socket || res.destroyed) return void socket?.destroy();
    res.once("close", () => socket.destroy());
    const connection = await secure(socket, passed.authority).catch((error: unknown) => {
      const reason = messageOf(error).slice(0, 200);
      call.refused(`no secure connection to ${passed.authority}: ${reason}`);
      answerText(res, 502, `Berth has no secure connection to ${passed.authority}: ${reason}.`);
    });
    if (!connection || res.destroyed) return void connection?.destroy();
    if (passed.header) credentials.noteUse(userId, kind, name);
    const headers = { ...passedUp(kind, req, body), ...(passed.header && Object.fromEntries([passed.header])) };
    const sending = { authority: passed.authority, method: req.method!, path, headers };
    const { secrets, refused } = chosen;
    pass(connection, { sending, req, res, body, secrets, refused, lfs: passed.lfs, origin: call.authority });
  }

  return {
    isOrigin,
    /** Answers one call, whatever comes of it. */
    serve(call: OriginCall): void {
      // Whoever is a part of the way ends with it.
      call.res.setMaxListeners(20).on("error", () => call.res.destroy());
      serve(call).catch((error: unknown) => {
        // Who has left in the midst of a body is no defect.
        if (call.res.destroyed) return;
        log.error("origin.failed", { userId: call.userId, error: messageOf(error) });
        answerText(call.res, 502, "Berth could not pass this call on.");
      });
    },
    track: calls.track,
    end: calls.end,
  };
}

/** What a call goes on with. */
interface Chosen extends Pick<Passing, "secrets" | "refused"> {
  kind: CredentialKind;
  name: string;
  passed: Passed;
}

/** The credential that a call is for, or why it is for none. */
function choose(
  credentials: OriginsDeps["credentials"],
  { userId, authority, path, req }: OriginCall,
): Chosen | { sentence: string } {
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
    if (!passed.isPassed) return passed;
    const sentence = passed.header
      ? `${name} refuses your credential: replace it by PUT /v1/git-credentials/${name}.`
      : `Berth refuses this: the credential for ${name} is for other repositories than this one.`;
    return { kind, name, passed, secrets: [basicOf(about), ...spellingsOf(row.value)], refused: [403, sentence] };
  }
  const row = credentials.find<SecretAbout>(userId, kind, name);
  if (!row) return { sentence: `you have no secret ${name} (PUT /v1/secrets/${name})` };
  const passed = decideSecret({ ...row.about, name, value: row.value }, origin.host, method, path);
  if (!passed.isPassed) return passed;
  const sentence = `${passed.authority} refuses the secret ${name}: replace it by PUT /v1/secrets/${name}.`;
  return { kind, name, passed, secrets: spellingsOf(row.value), refused: [401, sentence] };
}

/** A value as answers repeat it: plain, in JSON as it is written here and there, in an address, encoded. */
export function spellingsOf(value: string): string[] {
  const inJson = JSON.stringify(value).slice(1, -1);
  const base64 = Buffer.from(value).toString("base64");
  return [...new Set([value, inJson, inJson.replaceAll("/", String.raw`\/`), encodeURIComponent(value), base64])];
}

/** The authorities of credentials are names. */
export const targetOf = ({ authority }: Pick<Passed, "authority">): Target => parseTarget(authority, 443)!;

const ofGit = /^(accept|accept-language|content-type|content-length|content-encoding|user-agent|git-protocol)$/;
/**
 * For one connection alone; read by some servers as another method, path or host than the one that was looked at; or asking for a
 * part of an answer, in which a part of the value would not be seen.
 */
const notPassedUp =
  /^(host|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|accept-encoding|range|if-range|forwarded|x-forwarded-.*|x-original-.*|x-rewrite-.*|x-http-method.*|x-method-.*)$/;

function passedUp(kind: CredentialKind, { headers }: IncomingMessage, body: Buffer | null): OutgoingHttpHeaders {
  const isPassed = (name: string) => (kind === "git" ? ofGit.test(name) : !notPassedUp.test(name));
  const passed = Object.entries(headers).filter(([name]) => isPassed(name));
  // A body without a length has frames in any method, so that its end is no matter of opinion.
  const framing = body
    ? { "content-length": String(body.length) }
    : headers["transfer-encoding"] && { "transfer-encoding": "chunked" };
  return { ...Object.fromEntries(passed), ...framing };
}

/** More than a batch of git's has, in bytes and in keys and values. */
const [downloadMaxBytes, downloadMaxValues] = [131_072, 5000];

/** The body of a batch of LFS that only downloads, written anew so that no reader finds more in it; null for every other. */
async function readDownload(req: IncomingMessage): Promise<Buffer | null> {
  const bytes = await collect(req.iterator({ destroyOnReturn: false }), downloadMaxBytes);
  const batch = bytes && (parseSmall(bytes, downloadMaxValues) as { operation?: unknown } | undefined);
  return batch?.operation === "download" ? Buffer.from(JSON.stringify(batch)) : null;
}
