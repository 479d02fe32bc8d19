/**
 * Forges for tests, each to be served below its name: real git over smart HTTP (`git http-backend`), also slowly, LFS, and an API for
 * pull requests, all for one credential alone; and an API that says what it was sent.
 */
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { PassThrough, Transform } from "node:stream";
import { buffer, text } from "node:stream/consumers";

/** Where nothing leads: who calls it was led astray. */
export const otherHost = "files.berth.test";
export const forgeUser = "ada";
export const forgeToken = "tok_Zq8rJ2mX5wLs-forge";
export const apiValue = "val_7Hc3Kp9TnE-api";

/** Makes `team/app.git`, which has `team/lib.git` as a submodule, branches `even` and, a commit ahead, `topic`, `team/other.git`, `team/big.git` of 2 MB, and `team/lib-open.git`, which all may read. */
export function makeForge(dir: string): string {
  const root = join(dir, "forge");
  const work = join(dir, "forge-work");
  const git = (cwd: string, ...args: string[]) =>
    execFileSync(
      "git",
      ["-c", "protocol.file.allow=always", "-c", "user.name=t", "-c", "user.email=t@t.test", ...args],
      {
        cwd,
        stdio: "pipe",
      },
    );
  execFileSync("mkdir", ["-p", root, work]);
  for (const name of ["lib", "lib-open", "other", "big", "app"]) {
    git(dir, "init", "-q", "-b", "main", join(work, name));
    writeFileSync(join(work, name, "README.md"), `${name}\n`);
    if (name === "big") writeFileSync(join(work, name, "big.bin"), randomBytes(2_000_000));
    if (name === "app") git(join(work, name), "submodule", "--quiet", "add", "../lib", "lib");
    git(join(work, name), "add", ".");
    git(join(work, name), "commit", "-q", "-m", "first");
    git(dir, "clone", "-q", "--bare", join(work, name), join(root, "team", `${name}.git`));
    git(join(root, "team", `${name}.git`), "config", "http.receivepack", "true");
  }
  // As a forge has it: beside, by a relative address.
  git(join(work, "app"), "config", "-f", ".gitmodules", "submodule.lib.url", "../lib.git");
  git(join(work, "app"), "commit", "-q", "-a", "-m", "beside");
  git(join(work, "app"), "push", "-q", join(root, "team/app.git"), "main");
  git(join(work, "app"), "commit", "-q", "--allow-empty", "-m", "more");
  git(join(work, "app"), "push", "-q", join(root, "team/app.git"), "HEAD~1:refs/heads/even", "HEAD:refs/heads/topic");
  return root;
}

/**
 * What it was asked, as `METHOD path`; the pull requests that were opened; the slow calls that stand still, and whether they still do.
 * Its API answers once `gate` opens.
 */
export const newForgeRecord = () => ({
  calls: [] as string[],
  pulls: [] as Record<string, string>[],
  slow: [] as { path: string; isOpen: boolean }[],
  gate: Promise.resolve(),
});
type ForgeRecord = ReturnType<typeof newForgeRecord>;
export interface ApiCall {
  /** Below which the bare repositories lie. */
  root: string;
  /** Those that were opened, as they were sent. */
  pulls: ForgeRecord["pulls"];
  req: IncomingMessage;
  res: ServerResponse;
}

/** With an API below `/api/`, where it has one. */
export function serveForge(root: string, record: ForgeRecord, api?: (call: ApiCall) => unknown) {
  const objects = new Map<string, Buffer>();
  const basic = `Basic ${Buffer.from(`${forgeUser}:${forgeToken}`).toString("base64")}`;
  return async (url: URL, req: IncomingMessage, res: ServerResponse) => {
    const path = url.pathname;
    record.calls.push(`${req.method} ${path}`);
    if (path.startsWith("/moved/")) return res.writeHead(302, { location: `https://${otherHost}${path}` }).end();
    if (path.startsWith("/renamed/"))
      return res.writeHead(301, { location: `${path.replace("renamed", "team")}${url.search}` }).end();
    if (api && path.startsWith("/api/")) {
      await record.gate;
      return api({ root, pulls: record.pulls, req, res });
    }
    // It repeats what it refuses, as some do. What all may read nobody shows a credential for.
    const isOpen = path.startsWith("/team/lib-open.git/") && !`${path}${url.search}`.includes("receive-pack");
    if (req.headers.authorization !== (isOpen ? undefined : basic))
      return res
        .writeHead(401, { "www-authenticate": "Basic realm=forge" })
        .end(`bad credential ${req.headers.authorization}`);
    const [, oid] = /\/info\/lfs\/objects\/([0-9a-f]{64})$/.exec(path) ?? [];
    if (path.endsWith("/info/lfs/objects/batch")) return answerBatch(url, req, res, objects);
    if (path.endsWith("/info/lfs/locks/verify")) return res.writeHead(404).end();
    if (oid && req.method === "PUT") {
      objects.set(oid, await buffer(req));
      return res.end();
    }
    if (oid) return objects.has(oid) ? res.end(objects.get(oid)) : res.writeHead(404).end();
    return runBackend(root, record, url, req, res);
  };
}

/** As Gitea: the addresses are its own, with the header that the client sent. */
async function answerBatch(url: URL, req: IncomingMessage, res: ServerResponse, kept: Map<string, Buffer>) {
  const { operation, objects } = JSON.parse(await text(req)) as {
    operation: string;
    objects: { oid: string; size: number }[];
  };
  const header = { Authorization: req.headers.authorization };
  const answers = objects.map(({ oid, size }) => {
    const href = `${url.origin}${url.pathname.replace(/batch$/, "")}${oid}`;
    const isWanted = operation === "download" || !kept.has(oid);
    return { oid, size, ...(isWanted && { actions: { [operation]: { href, header } } }) };
  });
  res.writeHead(200, { "content-type": "application/vnd.git-lfs+json" });
  return res.end(JSON.stringify({ transfer: "basic", objects: answers }));
}

/** CGI. Below `/slow/` 64 KiB of a body or an answer pass, and no more. */
function runBackend(root: string, record: ForgeRecord, url: URL, req: IncomingMessage, res: ServerResponse): void {
  const { headers } = req;
  const path = decodeURIComponent(url.pathname);
  const pace = () => (path.startsWith("/slow/") ? standStill(record, path, res) : new PassThrough());
  const backend = spawn("git", ["http-backend"], {
    env: {
      PATH: process.env["PATH"],
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: "1",
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: "safe.directory",
      GIT_CONFIG_VALUE_0: "*",
      REMOTE_USER: forgeUser,
      REQUEST_METHOD: req.method,
      PATH_INFO: path.replace(/^\/slow\//, "/"),
      QUERY_STRING: url.search.slice(1),
      CONTENT_TYPE: headers["content-type"] ?? "",
      ...(headers["content-length"] && { CONTENT_LENGTH: headers["content-length"] }),
      HTTP_CONTENT_ENCODING: headers["content-encoding"] ?? "",
      GIT_PROTOCOL: String(headers["git-protocol"] ?? ""),
    },
    stdio: ["pipe", "pipe", "ignore"],
  });
  req.pipe(pace()).pipe(backend.stdin.on("error", () => undefined));
  let head = Buffer.alloc(0);
  backend.stdout.on("data", function read(piece: Buffer) {
    head = Buffer.concat([head, piece]);
    const end = head.indexOf("\r\n\r\n");
    if (end === -1) return;
    backend.stdout.off("data", read);
    const lines = head.toString("latin1", 0, end).split("\r\n");
    const fields = Object.fromEntries(lines.map((line) => line.split(/: (.*)/s).slice(0, 2) as [string, string]));
    const { Status: status = "200", ...rest } = fields;
    res.writeHead(Number(status.slice(0, 3)), rest).write(head.subarray(end + 4));
    backend.stdout.pipe(pace()).pipe(res);
  });
  res.on("close", () => backend.kill());
}

function standStill(record: ForgeRecord, path: string, res: ServerResponse): Transform {
  let left = 65_536;
  return new Transform({
    transform(piece: Buffer, _, done) {
      const isPassing = left > 0;
      left -= piece.length;
      if (left > 0) return done(null, piece);
      if (isPassing) {
        const call = { path, isOpen: true };
        record.slow.push(call);
        res.on("close", () => (call.isOpen = false));
      }
      // Read on, or nobody would see the other side leave.
      done();
    },
    // Without an end, but for what was short.
    flush: (done) => void (left > 0 && done()),
  });
}

/** Says what it was sent, in all the spellings that it can think of; or begins, and goes on for ever. */
export async function serveApi(url: URL, req: IncomingMessage, res: ServerResponse) {
  const given = req.headers.authorization ?? "";
  const value = given.replace(/^Bearer /, "");
  if (url.pathname === "/401") return res.writeHead(401).end(`Incorrect key ${value.slice(0, -4)}`);
  if (url.pathname === "/away") return res.writeHead(307, { location: `https://${otherHost}/x` }).end();
  if (url.pathname === "/near") return res.writeHead(307, { location: `/v1/near?key=${value}` }).end();
  if (url.pathname === "/zipped") return res.writeHead(200, { "content-encoding": "gzip" }).end("x");
  if (url.pathname === "/many") {
    const names = Array.from({ length: Number(url.searchParams.get("n")) }, (_, at) => `x-${at}`);
    return res.writeHead(200, Object.fromEntries(names.map((name) => [name, given]))).end();
  }
  if (url.pathname === "/headers") {
    const lines = Object.entries(req.headers).map(([name, value]) => `${name}: ${String(value)}`);
    return res.end(`${lines.join("\n")}\nbody ${await text(req)}`);
  }
  res.writeHead(200, { "x-echo": given, "set-cookie": `session=${value}`, [`x-${value}`]: "named" });
  if (url.pathname === "/stream") return res.write("begun\n");
  const spellings = [
    value,
    encodeURIComponent(value),
    Buffer.from(value).toString("base64"),
    JSON.stringify({ given }),
  ];
  return res.end(
    `${value === apiValue} ${req.method} ${url.pathname}${url.search} ${spellings.join(" ")} ${await text(req)}`,
  );
}
