/**
 * Named origins: what `HOST.git.berth.internal` and `NAME.secret.berth.internal` stand for, and what of a call may go on with
 * the credential. Pure: opens nothing.
 */
import type { GitCredential, Secret } from "@berth/shared/credentials/credentials";

/** What is meant: an authority of https. `host` null is a secret's first one. */
export type Origin = { kind: "git"; name: string } | { kind: "secret"; name: string; host: string | null };
export type GitAbout = Omit<GitCredential, "host" | "createdAt" | "lastUsedAt">;
export type SecretAbout = Omit<Secret, "name" | "createdAt" | "lastUsedAt">;

/**
 * A call that may go on, and the header that goes with it; null where it goes without the credential, as to a repository that this
 * one is not for. `isDownload`: only if its body says so (LFS). `lfs`: what of LFS it is, its API or the objects themselves.
 */
export interface Passed {
  isPassed: true;
  authority: string;
  header: [name: string, value: string] | null;
  isDownload: boolean;
  lfs: "api" | "object" | null;
}
export type Decision = Passed | { isPassed: false; sentence: string };

const domain = "berth.internal";
export const isOrigin = (authority: string) => new RegExp(String.raw`(^|\.)${domain}\.?(:\d*)?$`, "i").test(authority);

/** Null for what is no origin that anybody could have. */
export function parseOrigin(authority: string): Origin | null {
  const pattern = new RegExp(String.raw`^([a-z0-9.-]{1,253})\.(git|secret)\.${domain}\.?(?::(\d{1,5}))?$`);
  const [, labels, kind, digits = "80"] = pattern.exec(authority.toLowerCase()) ?? [];
  if (labels === undefined) return null;
  const port = digits === "80" || digits === "443" ? "" : `:${digits}`;
  if (kind === "git") return { kind, name: labels + port };
  const at = labels.lastIndexOf(".");
  return { kind: "secret", name: labels.slice(at + 1), host: at === -1 ? null : labels.slice(0, at) + port };
}

/**
 * What leads here of what people write for this credential's host, or for its repositories and what begins as they do: `origins` are
 * ours. Of two that are written alike git takes the first: of credentials by name, that of a host without a port.
 */
export function gitRewrites({
  host,
  username,
  repositories,
}: Pick<GitCredential, "host" | "username" | "repositories">) {
  const [name, port] = host.split(":");
  const origin = `http://${name}.git.${domain}${port ? `:${port}` : ""}/`;
  const https = ["", "git@", `${encodeURIComponent(username)}@`].map((user) => `https://${user}${host}/`);
  const ssh = [`git@${name}:`, ...["", ":22", ":2222"].map((at) => `ssh://git@${name}${at}/`)];
  const spellings = [...new Set([...https, ...ssh, ...(port ? [] : [`http://${name}/`, `git://${name}/`])])];
  const paths = (repositories ?? [""]).map((path) => path.replace(/\*$/, ""));
  return paths.map((path) => ({ origin: origin + path, written: spellings.map((spelling) => spelling + path) }));
}

const packs = /^(.+)\/(info\/refs|git-upload-pack|git-receive-pack)$/;
const lfsPath =
  /^(.+)\/(?:info\/lfs\/(objects\/batch|verify|locks|locks\/verify|locks\/\w+\/unlock|objects\/[0-9a-f]{64}(?:\/\d+)?)|gitlab-lfs\/(objects\/[0-9a-f]{64}(?:\/\d+)?))$/;

/** Only git's own calls, for the repositories that are named, and nothing that writes where it is read-only. */
export function decideGit(about: GitAbout & { value: string }, host: string, method: string, url: string): Decision {
  const [path, query] = split(url);
  const plain = readPath(path)?.join("/");
  const call = plain === undefined ? null : (readPack(plain, query, method) ?? readLfs(plain, query, method));
  if (!call) return refuse(`only git's own calls go to ${host} with its credential`);
  const { repository, isWriting, isDownload, lfs } = call;
  // Of two repositories one's name may begin with the other's, and git leads both here.
  if (!isNamed(about.repositories, repository))
    return { isPassed: true, authority: host, header: null, isDownload: false, lfs: null };
  if (isWriting && about.readOnly) return refuse(`the credential for ${host} is read-only`);
  const header: Passed["header"] = ["authorization", `Basic ${basicOf(about)}`];
  return { isPassed: true, authority: host, header, isDownload: isDownload && about.readOnly, lfs };
}

export const basicOf = ({ username, value }: { username: string; value: string }) =>
  Buffer.from(`${username}:${value}`).toString("base64");

interface GitCall extends Pick<Passed, "lfs"> {
  repository: string;
  isWriting: boolean;
  /** Reads or writes: its body says which. */
  isDownload: boolean;
}

function readPack(path: string, query: string | undefined, method: string): GitCall | null {
  const [, repository, action] = packs.exec(path) ?? [];
  if (repository === undefined) return null;
  const isRefs = action === "info/refs";
  const service = isRefs ? /^service=(git-(?:upload|receive)-pack)$/.exec(query ?? "")?.[1] : action;
  if (!service || method !== (isRefs ? "GET" : "POST") || (!isRefs && query !== undefined)) return null;
  return { repository, isWriting: service === "git-receive-pack", isDownload: false, lfs: null };
}

function readLfs(path: string, query: string | undefined, method: string): GitCall | null {
  const [, repository, ofApi, ofGitlab] = lfsPath.exec(path) ?? [];
  if (repository === undefined || (query !== undefined && method !== "GET")) return null;
  const isDownload = ofApi === "objects/batch" && method === "POST";
  if (!isDownload && !["GET", "PUT", "POST"].includes(method)) return null;
  if (ofGitlab !== undefined && method === "POST") return null;
  const isObject = ofGitlab !== undefined || /^objects\/[0-9a-f]/.test(ofApi ?? "");
  return { repository, isWriting: method !== "GET" && !isDownload, isDownload, lfs: isObject ? "object" : "api" };
}

/** Whether a repository is one of those that are named: to the letter but for `.git`, or by its owner. */
export function isNamed(named: string[] | null, repository: string): boolean {
  const bare = repository.replace(/\.git$/, "");
  return named?.some((one) => (one.endsWith("/*") ? bare.startsWith(one.slice(0, -1)) : one === bare)) ?? true;
}

/** Only the hosts, methods and paths that it names. */
export function decideSecret(
  { name, value, hosts, header, methods, paths }: SecretAbout & { name: string; value: string },
  asked: string | null,
  method: string,
  url: string,
): Decision {
  const authority = asked ?? hosts[0]!;
  if (!hosts.includes(authority)) return refuse(`the secret ${name} is for other hosts than ${authority}`);
  if (!methods.some((one) => one === method)) return refuse(`the secret ${name} is not for ${method}`);
  if (!paths.includes("/")) {
    const path = readPath(split(url)[0]);
    if (!path) return refuse(`the secret ${name} is for some paths, and this one could be read in more ways than one`);
    const isBelow = (prefix: string) => {
      const segments = prefix.split("/").slice(1).filter(Boolean);
      return segments.every((segment, at) => path[at] === segment);
    };
    if (!paths.some(isBelow)) return refuse(`the secret ${name} is for other paths than this one`);
  }
  const [headerName = "", template = ""] = header.split(/: (.*)/s);
  const given: Passed["header"] = [headerName.toLowerCase(), template.replace("{}", () => value)];
  return { isPassed: true, authority, header: given, isDownload: false, lfs: null };
}

const refuse = (sentence: string): Decision => ({ isPassed: false, sentence });

/** Path and query, undefined without one. */
const split = (url: string) => url.split(/\?(.*)/s).slice(0, 2) as [string, string?];

/**
 * The segments of a path that every server reads alike: none that is empty (but the last), none that leads up, no slash, percent
 * sign or parameter in any, whatever encodes it. Null for all others.
 */
function readPath(path: string): string[] | null {
  const encoded = path.split("/").slice(1);
  try {
    const segments = encoded.map(decodeURIComponent);
    const isPlain = (segment: string, at: number) =>
      segment === "" ? at === segments.length - 1 : /^(?!\.{1,2}$)[^/\\%;\p{Cc}]+$/u.test(segment);
    return path.startsWith("/") && segments.every(isPlain) ? segments : null;
  } catch {
    return null;
  }
}
