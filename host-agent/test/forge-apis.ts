/**
 * The APIs of three forges for tests, as far as a pull request needs them and as their documentation has them: what each demands of
 * a call, answers and refuses, for the token and the repositories of `forge.ts`.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { json as readJson } from "node:stream/consumers";
import { type ApiCall, forgeToken, forgeUser } from "./forge.ts";

type Pull = ApiCall["pulls"][number];

/** What each refuses a pull request for, in turn, where it does. */
interface Refusals {
  noBase: (base: string) => unknown;
  noHead: (head: string) => unknown;
  isThere: (head: string) => unknown;
  noCommits: (base: string, head: string) => unknown;
}
interface Branches {
  repository: string;
  head: string;
  base: string;
}

/** Of GitHub, at api.github.com. */
export async function serveGithubApi({ root, pulls, req, res }: ApiCall) {
  const { headers, method, url = "" } = req;
  const say = (status: number, message: string, more: object = {}) =>
    answer(res, status, { message, ...more, documentation_url: "https://docs.github.com/rest", status: `${status}` });
  const invalid = (...errors: object[]) => say(422, "Validation Failed", { errors });
  if (!headers["user-agent"]) return res.writeHead(403).end("Request forbidden by administrative rules.");
  if (headers.accept !== "application/vnd.github+json") return say(415, "Unsupported 'Accept' header");
  if (headers["x-github-api-version"] !== "2022-11-28") return say(400, "Invalid API version");
  if (headers.authorization !== `Bearer ${forgeToken}`) return say(401, "Bad credentials");
  const [, repository = "", isPulls] = /^\/repos\/([\w.-]+\/[\w.-]+)(\/pulls)?$/.exec(url) ?? [];
  if (repository === "team/renamed") {
    res.setHeader("location", "https://api.github.com/repositories/1/pulls");
    return say(301, "Moved Permanently", { url: "https://api.github.com/repositories/1/pulls" });
  }
  if (!isThere(root, repository)) return say(404, "Not Found");
  if (!isPulls) return answer(res, 200, { full_name: repository, default_branch: "main" });
  if (repository === "team/other") return say(403, "Resource not accessible by personal access token");
  if (method !== "POST") return say(404, "Not Found");
  const pull = (await readJson(req)) as Pull & Omit<Branches, "repository">;
  const field = (name: string) => invalid({ resource: "PullRequest", field: name, code: "invalid" });
  const custom = (message: string) => invalid({ resource: "PullRequest", code: "custom", message });
  const refusals: Refusals = {
    noBase: () => field("base"),
    noHead: () => field("head"),
    isThere: (head) => custom(`A pull request already exists for team:${head}.`),
    noCommits: (base, head) => custom(`No commits between ${base} and ${head}`),
  };
  if (isRefused(root, pulls, { repository, ...pull }, refusals)) return undefined;
  const number = pulls.push(pull);
  return answer(res, 201, { number, html_url: `https://github.com/${repository}/pull/${number}`, state: "open" });
}

/** Of GitLab, below /api/v4. */
export async function serveGitlabApi({ root, pulls, req, res }: ApiCall) {
  const { headers, method, url = "" } = req;
  const say = (status: number, message: unknown) => answer(res, status, { message });
  if (headers.authorization !== `Bearer ${forgeToken}`) return say(401, "401 Unauthorized");
  const [, encoded = "", isMerges] = /^\/api\/v4\/projects\/([^/]+)(\/merge_requests)?$/.exec(url) ?? [];
  const repository = decodeURIComponent(encoded);
  if (!isThere(root, repository)) return say(404, "404 Project Not Found");
  if (!isMerges) return answer(res, 200, { path_with_namespace: repository, default_branch: "main" });
  if (repository === "team/other") {
    const error_description = "The request requires higher privileges than provided by the access token.";
    return answer(res, 403, { error: "insufficient_scope", error_description, scope: "api" });
  }
  if (method !== "POST") return say(404, "404 Not Found");
  const merge = (await readJson(req)) as Pull & Record<"source_branch" | "target_branch", string>;
  const branches = { repository, head: merge.source_branch, base: merge.target_branch };
  const refusals: Refusals = {
    noBase: () => say(400, { target_branch: ["does not exist"] }),
    noHead: () => say(400, { source_branch: ["does not exist"] }),
    isThere: () => say(409, ["Another open merge request already exists for this source branch: !1"]),
    // It opens one without a commit, too.
    noCommits: () => null,
  };
  if (isRefused(root, pulls, branches, refusals)) return undefined;
  const iid = pulls.push(merge);
  return answer(res, 201, { id: 90 + iid, iid, web_url: `https://gitlab.com/${repository}/-/merge_requests/${iid}` });
}

/** Of Gitea, below /api/v1. It repeats the credential, as some proxies before it do. */
export async function serveGiteaApi({ root, pulls, req, res }: ApiCall) {
  const { headers, method, url = "" } = req;
  const say = (status: number, message: string) =>
    answer(res, status, { message, url: "https://gitea.com/api/swagger" });
  if (headers.authorization !== `Basic ${Buffer.from(`${forgeUser}:${forgeToken}`).toString("base64")}`)
    return say(401, "user does not exist");
  const [, repository = "", isPulls] = /^\/api\/v1\/repos\/([\w.-]+\/[\w.-]+)(\/pulls)?$/.exec(url) ?? [];
  if (!isThere(root, repository)) return say(404, "The target couldn't be found.");
  if (!isPulls) return answer(res, 200, { full_name: repository, default_branch: "main" });
  if (method !== "POST") return say(405, "Method Not Allowed");
  const pull = (await readJson(req)) as Pull & Omit<Branches, "repository">;
  const refusals: Refusals = {
    noBase: (base) => say(404, `no branch ${base} for ${headers.authorization}`),
    noHead: (head) => say(404, `no branch ${head}`),
    isThere: () => say(409, "pull request already exists for these targets"),
    noCommits: () => null,
  };
  if (isRefused(root, pulls, { repository, ...pull }, refusals)) return undefined;
  const number = pulls.push(pull);
  return answer(res, 201, { number, html_url: `https://${headers.host}/${repository}/pulls/${number}` });
}

function answer(res: ServerResponse, status: number, body: object): ServerResponse {
  return res.writeHead(status, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(body));
}

const isThere = (root: string, repository: string) => repository !== "" && existsSync(join(root, `${repository}.git`));

/** Whether one of the refusals was said: null is none. */
function isRefused(root: string, pulls: Pull[], { repository, head, base }: Branches, refusals: Refusals): boolean {
  const cwd = join(root, `${repository}.git`);
  const hasBranch = (name: string) =>
    spawnSync("git", ["rev-parse", "--verify", "--quiet", `refs/heads/${name}`], { cwd }).status === 0;
  const refuse = () => {
    if (!hasBranch(base)) return refusals.noBase(base);
    if (!hasBranch(head)) return refusals.noHead(head);
    if (pulls.some((one) => (one["head"] ?? one["source_branch"]) === head)) return refusals.isThere(head);
    const ahead = execFileSync("git", ["rev-list", "--count", `${base}..${head}`], { cwd, encoding: "utf8" });
    return ahead.trim() === "0" ? refusals.noCommits(base, head) : null;
  };
  return refuse() !== null;
}
