/** Pull requests at GitHub, Gitea and GitLab: one call of the forge's API with the credential for git. */
import type http from "node:http";
import { text } from "node:stream/consumers";
import { z } from "zod";
import { parseSmall } from "@berth/shared/bounds/json-scan";
import { AppError } from "@berth/shared/errors";
import type { Forge, PullRequest, PullRequestBody } from "@berth/shared/credentials/credentials";
import { messageOf } from "@berth/shared/log";
import type { EgressProxy } from "../egress/proxy.ts";
import { createMask } from "../model/mask.ts";
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
const pullSchema = z.union([
  z.object({ html_url: z.string().max(2000), number: z.int() }),
  z.object({ web_url: z.string().max(2000), iid: z.int() }),
]);
/** All of them call it so. */
const repositorySchema = z.object({ default_branch: z.string().max(250) });

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
  const late = AbortSignal.timeout(deadlineMs);
  const revoked = new AbortController();
  const forget = origins.track(userId, "git", host, () => revoked.abort());
  const forge = describeForge(about.forge ?? forgeOf(host), about, branch);
  const call = async <T>(schema: z.ZodType<T>, method: "GET" | "POST", path: string, body: object | null) => {
    const answer = await ask(egress, { ...forge, method, path, body }, AbortSignal.any([late, revoked.signal]));
    return read(schema, answer, branch, about);
  };
  try {
    credentials.noteUse(userId, "git", host);
    const base = asked.base ?? (await call(repositorySchema, "GET", forge.repository, null)).default_branch;
    const opened = await call(pullSchema, "POST", forge.pulls, forge.describe(asked, base));
    return "number" in opened
      ? { url: opened.html_url, number: opened.number }
      : { url: opened.web_url, number: opened.iid };
  } finally {
    forget();
  }
}

/** By the host's name, where the credential does not say. */
function forgeOf(host: string): Forge {
  return host.startsWith("github.") ? "github" : host.startsWith("gitlab.") ? "gitlab" : "gitea";
}

/** Where a forge's API is and what it wants to hear. */
interface ForgeApi {
  authority: string;
  headers: { authorization: string; accept: string; "x-github-api-version"?: string };
  /** Paths of the repository, and of its pull requests. */
  repository: string;
  pulls: string;
  /** A pull request in its words. */
  describe(asked: PullRequestBody, base: string): object;
}

function describeForge(
  forge: Forge,
  about: GitAbout & { value: string },
  { host, repository, name: head }: Branch,
): ForgeApi {
  const path = `/repos/${repository.split("/").map(encodeURIComponent).join("/")}`;
  const bearer = { authorization: `Bearer ${about.value}`, accept: "application/json" };
  const describe: ForgeApi["describe"] = ({ title, body }, base) => ({ title, body, head, base });
  if (forge === "gitlab") {
    const project = `/api/v4/projects/${encodeURIComponent(repository)}`;
    return {
      authority: host,
      headers: bearer,
      repository: project,
      pulls: `${project}/merge_requests`,
      describe: ({ title, body }, base) => ({ title, description: body, source_branch: head, target_branch: base }),
    };
  }
  if (forge === "gitea") {
    const headers = { authorization: `Basic ${basicOf(about)}`, accept: "application/json" };
    const api = `/api/v1${path}`;
    return { authority: host, headers, repository: api, pulls: `${api}/pulls`, describe };
  }
  const [authority, prefix] = host === "github.com" ? ["api.github.com", ""] : [host, "/api/v3"];
  const headers = { ...bearer, accept: "application/vnd.github+json", "x-github-api-version": "2022-11-28" };
  return { authority, headers, repository: prefix + path, pulls: `${prefix}${path}/pulls`, describe };
}

interface ForgeCall extends Pick<ForgeApi, "authority" | "headers"> {
  method: "GET" | "POST";
  path: string;
  body: object | null;
}
interface ForgeAnswer {
  status: number;
  text: string;
}

/** One call, its whole answer. Throws `conflict` where there is none. */
async function ask(egress: ForgeDeps["egress"], call: ForgeCall, signal: AbortSignal): Promise<ForgeAnswer> {
  const { authority, path, method } = call;
  const unreached = (why: string) => new AppError("conflict", `Berth has no answer of ${authority}: ${why}.`);
  const reached = await egress.reach(targetOf(call), signal);
  if (!reached.ok) throw unreached(reached.kind === "refused" ? reached.reason : `the host is ${reached.kind}`);
  signal.addEventListener("abort", () => reached.socket.destroy());
  try {
    const connection = await secure(reached.socket, authority);
    const body = call.body ? JSON.stringify(call.body) : "";
    const headers = {
      ...call.headers,
      ...(call.body && { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)) }),
      "user-agent": "Berth",
    };
    const sent = send(connection, { authority, path, method, headers }).end(body);
    const answer = await new Promise<http.IncomingMessage>((resolve, reject) =>
      sent.once("response", resolve).on("error", reject),
    );
    let size = 0;
    answer.on("data", (piece: Buffer) => void ((size += piece.length) > answerMaxBytes && reached.socket.destroy()));
    return { status: answer.statusCode ?? 0, text: await text(answer) };
  } catch (error) {
    throw unreached(signal.aborted ? "it took too long, or the credential has ended" : messageOf(error));
  } finally {
    reached.socket.destroy();
  }
}

/** What was asked for; throws `conflict` with the forge's words and what to do, without a trace of the credential. */
function read<T>(
  schema: z.ZodType<T>,
  { status, text: body }: ForgeAnswer,
  { host, repository }: Branch,
  about: GitAbout & { value: string },
): T {
  const mask = createMask(...spellingsOf(about.value), basicOf(about));
  const json = parseSmall(mask.text(body), answerMaxValues);
  const found = schema.safeParse(json);
  if (status >= 200 && status < 300 && found.success) return found.data;
  const words = status < 300 ? [] : wordsOf(json);
  const said = [...new Set(words)].join("; ").slice(0, 500).replace(/\.$/, "") || `status ${status}`;
  const isOtherKind = json === undefined && about.forge === null && status < 500;
  throw new AppError("conflict", explain(status, said, { host, repository }, isOtherKind));
}

function explain(
  status: number,
  said: string,
  { host, repository }: Omit<Branch, "name">,
  isOtherKind: boolean,
): string {
  if (status === 401) return `${host} refuses your credential: replace it.`;
  if (isOtherKind)
    return `${host} does not answer as its name suggests (status ${status}): say whose API it has, by "forge" in PUT /v1/git-credentials/${host}.`;
  if (status >= 300 && status < 400)
    return `${host} has ${repository} at another address: set the remote origin to it.`;
  if (status === 403)
    return `${host} does not let your credential open pull requests in ${repository} (${said}): give it that right there.`;
  if (status === 404)
    return `${host} does not find it (${said}): ${repository} and the branches must be there, and your credential must reach them.`;
  return `${host} says: ${said}.`;
}

/** What a forge says of an error, wherever that stands in it: a field that does not fit has its name before it. */
function wordsOf(said: unknown, depth = 4): string[] {
  if (typeof said === "string") return [said];
  if (typeof said !== "object" || said === null || depth === 0) return [];
  const inside = (one: unknown) => wordsOf(one, depth - 1);
  if (Array.isArray(said)) return said.flatMap(inside);
  const { message, error, error_description, errors, field, code } = said as Record<string, unknown>;
  const known = [message, error, error_description, errors].filter((one) => one !== undefined);
  if (known.length > 0) return known.flatMap(inside);
  if (typeof field === "string") return [`${field}: ${String(code)}`];
  return Object.entries(said).flatMap(([name, one]) => inside(one).map((word) => `${name} ${word}`));
}
