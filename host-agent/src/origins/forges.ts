/** Pull requests at GitHub, Gitea and GitLab: one call of the forge's API with the credential for git. */
import type http from "node:http";
import { text } from "node:stream/consumers";
import { z } from "zod";
import { parseSmall } from "@berth/shared/bounds/json-scan";
import { AppError } from "@berth/shared/errors";
import type { Forge, PullRequest, PullRequestBody } from "@berth/shared/credentials/credentials";
import { messageOf } from "@berth/shared/log";
import type { EgressProxy } from "../egress/proxy.ts";
import { maskText } from "../model/mask.ts";
import type { Credentials } from "../store/credentials.ts";
import { secure, send } from "./forward.ts";
import { type Origins, spellingsOf, targetOf } from "./origins.ts";
import { basicOf, type GitAbout, isNamed, parseOrigin } from "./rules.ts";

export interface ForgeDeps {
  credentials: Pick<Credentials, "find" | "noteUse">;
  origins: Pick<Origins, "track">;
  egress: Pick<EgressProxy, "reach">;
}
/** A branch of a repository at a forge, as git in a workspace names it. */
export interface Branch {
  host: string;
  repository: string;
  name: string;
}

const deadlineMs = 30_000;
/** Of an answer; its host is anybody's choice. */
const [answerMaxBytes, answerMaxValues] = [1_048_576, 20_000];
const answerSchema = z.union([
  z.object({ html_url: z.string().max(2000), number: z.int() }),
  z.object({ web_url: z.string().max(2000), iid: z.int() }),
]);
/** What a forge says of an error, somewhere in it. */
const errorSchema = z.object({
  message: z.union([z.string(), z.array(z.string())]).optional(),
  error: z.string().optional(),
  errors: z.array(z.union([z.string(), z.object({ message: z.string() })])).optional(),
});

/** Where git's remote leads: an origin of ours, or the forge itself. Null for what no credential can be for. */
export function readRemote(url: string): Pick<Branch, "host" | "repository"> | null {
  const parsed = URL.parse(url);
  if (!parsed || !/^https?:$/.test(parsed.protocol)) return null;
  const origin = parseOrigin(parsed.host);
  const repository = parsed.pathname.replace(/^\/|\/$|(\.git)?\/?$/g, "");
  if (!/^[\w.~-]+(\/[\w.~-]+)+$/.test(repository) || /(^|\/)\.{1,2}(\/|$)/.test(repository)) return null;
  return { host: origin?.kind === "git" ? origin.name : parsed.host, repository };
}

/** Opens it, from the branch. Throws `conflict` with the forge's own words, or with what the user must do. */
export async function openPullRequest(
  { credentials, origins, egress }: ForgeDeps,
  userId: string,
  branch: Branch,
  asked: PullRequestBody,
): Promise<PullRequest> {
  const { host, repository } = branch;
  const row = credentials.find<GitAbout>(userId, "git", host);
  if (!row) throw new AppError("conflict", `You have no credential for ${host}: PUT /v1/git-credentials/${host}.`);
  const about = { ...row.about, value: row.value };
  if (about.readOnly) throw new AppError("conflict", `Your credential for ${host} is read-only.`);
  if (!isNamed(about.repositories, repository))
    throw new AppError("conflict", `Your credential for ${host} is for other repositories than ${repository}.`);
  const call = describeCall(about.forge ?? forgeOf(host), about, branch, asked);
  const late = AbortSignal.timeout(deadlineMs);
  const revoked = new AbortController();
  const forget = origins.track(userId, "git", host, () => revoked.abort());
  try {
    credentials.noteUse(userId, "git", host);
    const { status, body } = await ask(egress, call, AbortSignal.any([late, revoked.signal]));
    return read(status, body, host, [...spellingsOf(about.value), basicOf(about)]);
  } finally {
    forget();
  }
}

/** By the host's name, where the credential does not say. */
function forgeOf(host: string): Forge {
  return host.startsWith("github.") ? "github" : host.startsWith("gitlab.") ? "gitlab" : "gitea";
}

interface ForgeCall {
  authority: string;
  path: string;
  authorization: string;
  body: object;
}

function describeCall(
  forge: Forge,
  about: GitAbout & { value: string },
  { host, repository, name: head }: Branch,
  { title, body, base }: PullRequestBody,
): ForgeCall {
  const path = repository.split("/").map(encodeURIComponent).join("/");
  const pull = { title, body, head, base };
  const bearer = `Bearer ${about.value}`;
  if (forge === "gitlab") {
    const merge = { title, description: body, source_branch: head, target_branch: base };
    const at = `/api/v4/projects/${encodeURIComponent(repository)}/merge_requests`;
    return { authority: host, path: at, authorization: bearer, body: merge };
  }
  if (forge === "gitea")
    return {
      authority: host,
      path: `/api/v1/repos/${path}/pulls`,
      authorization: `Basic ${basicOf(about)}`,
      body: pull,
    };
  const [authority, prefix] = host === "github.com" ? ["api.github.com", ""] : [host, "/api/v3"];
  return { authority, path: `${prefix}/repos/${path}/pulls`, authorization: bearer, body: pull };
}

/** One call, its whole answer. Throws `conflict` where there is none. */
async function ask(egress: ForgeDeps["egress"], call: ForgeCall, signal: AbortSignal) {
  const { authority, path, authorization } = call;
  const unreached = (why: string) => new AppError("conflict", `Berth has no answer of ${authority}: ${why}.`);
  const reached = await egress.reach(targetOf(call), signal);
  if (!reached.ok) throw unreached(reached.kind === "refused" ? reached.reason : `the host is ${reached.kind}`);
  signal.addEventListener("abort", () => reached.socket.destroy());
  try {
    const connection = await secure(reached.socket, authority);
    const body = JSON.stringify(call.body);
    const headers = {
      authorization,
      accept: "application/json",
      "content-type": "application/json",
      "content-length": String(Buffer.byteLength(body)),
      "user-agent": "Berth",
    };
    const sent = send(connection, { authority, path, method: "POST", headers }).end(body);
    const answer = await new Promise<http.IncomingMessage>((resolve, reject) =>
      sent.once("response", resolve).on("error", reject),
    );
    let size = 0;
    answer.on("data", (piece: Buffer) => void ((size += piece.length) > answerMaxBytes && reached.socket.destroy()));
    return { status: answer.statusCode ?? 0, body: await text(answer) };
  } catch (error) {
    throw unreached(signal.aborted ? "it took too long, or the credential has ended" : messageOf(error));
  } finally {
    reached.socket.destroy();
  }
}

/** The pull request, or the forge's words, without a trace of the credential. */
function read(status: number, body: string, host: string, secrets: string[]): PullRequest {
  const json = parseSmall(
    secrets.reduce((left, secret) => maskText(secret, left), body),
    answerMaxValues,
  );
  const found = answerSchema.safeParse(json);
  if (status >= 200 && status < 300 && found.success)
    return "number" in found.data
      ? { url: found.data.html_url, number: found.data.number }
      : { url: found.data.web_url, number: found.data.iid };
  if (status === 401) throw new AppError("conflict", `${host} refuses your credential: replace it.`);
  const { message, error, errors = [] } = errorSchema.safeParse(json).data ?? {};
  const words = [message, error, ...errors.map((one) => (typeof one === "string" ? one : one.message))];
  const said = words.flat().filter(Boolean).join("; ").slice(0, 500) || `status ${status}`;
  throw new AppError("conflict", `${host} says: ${said}`);
}
