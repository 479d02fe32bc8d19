/**
 * A forge for tests, to be served below its name: real git over smart HTTP (`git http-backend`), LFS, and Gitea's call for pull
 * requests, all for one credential alone; and an API that says what it was sent.
 */
import { execFileSync, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { buffer, text } from "node:stream/consumers";

/** Where nothing leads: who calls it was led astray. */
export const otherHost = "files.berth.test";
export const forgeUser = "ada";
export const forgeToken = "tok_Zq8rJ2mX5wLs-forge";
export const apiValue = "val_7Hc3Kp9TnE-api";

/** Makes `team/app.git`, which has `team/lib.git` as a submodule, `team/other.git`, and a branch and a tag in the first. */
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
  for (const name of ["lib", "other", "app"]) {
    git(dir, "init", "-q", "-b", "main", join(work, name));
    writeFileSync(join(work, name, "README.md"), `${name}\n`);
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
  return root;
}

/** What it was asked, as `METHOD path`; and the pull requests that were opened. */
export const newForgeRecord = () => ({ calls: [] as string[], pulls: [] as Record<string, string>[] });

export function serveForge(root: string, record: ReturnType<typeof newForgeRecord>) {
  const objects = new Map<string, Buffer>();
  const basic = `Basic ${Buffer.from(`${forgeUser}:${forgeToken}`).toString("base64")}`;
  return async (url: URL, req: IncomingMessage, res: ServerResponse) => {
    const path = url.pathname;
    record.calls.push(`${req.method} ${path}`);
    if (path.startsWith("/moved/")) return res.writeHead(302, { location: `https://${otherHost}${path}` }).end();
    if (path.startsWith("/renamed/"))
      return res.writeHead(301, { location: `${path.replace("renamed", "team")}${url.search}` }).end();
    // It repeats what it refuses, as some do.
    if (req.headers.authorization !== basic)
      return res
        .writeHead(401, { "www-authenticate": "Basic realm=forge" })
        .end(`bad credential ${req.headers.authorization}`);
    if (path === "/api/v1/repos/team/app/pulls") return openPull(req, res, record);
    const [, oid] = /\/info\/lfs\/objects\/([0-9a-f]{64})$/.exec(path) ?? [];
    if (path.endsWith("/info/lfs/objects/batch")) return answerBatch(url, req, res, objects);
    if (path.endsWith("/info/lfs/locks/verify")) return res.writeHead(404).end();
    if (oid && req.method === "PUT") {
      objects.set(oid, await buffer(req));
      return res.end();
    }
    if (oid) return objects.has(oid) ? res.end(objects.get(oid)) : res.writeHead(404).end();
    return runBackend(root, url, req, res);
  };
}

async function openPull(req: IncomingMessage, res: ServerResponse, record: ReturnType<typeof newForgeRecord>) {
  const pull = JSON.parse(await text(req)) as Record<string, string>;
  if (pull["base"] !== "main") {
    const message = `no branch ${pull["base"]} for ${req.headers.authorization}`;
    return res.writeHead(404, { "content-type": "application/json" }).end(JSON.stringify({ message }));
  }
  record.pulls.push(pull);
  const number = record.pulls.length;
  const opened = { number, html_url: `https://${req.headers.host}/team/app/pulls/${number}` };
  return res.writeHead(201, { "content-type": "application/json" }).end(JSON.stringify(opened));
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

/** CGI. */
function runBackend(root: string, url: URL, req: IncomingMessage, res: ServerResponse): void {
  const { headers } = req;
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
      PATH_INFO: decodeURIComponent(url.pathname),
      QUERY_STRING: url.search.slice(1),
      CONTENT_TYPE: headers["content-type"] ?? "",
      ...(headers["content-length"] && { CONTENT_LENGTH: headers["content-length"] }),
      HTTP_CONTENT_ENCODING: headers["content-encoding"] ?? "",
      GIT_PROTOCOL: String(headers["git-protocol"] ?? ""),
    },
    stdio: ["pipe", "pipe", "ignore"],
  });
  req.pipe(backend.stdin.on("error", () => undefined));
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
    backend.stdout.pipe(res);
  });
  res.on("close", () => backend.kill());
}

/** Says what it was sent, in all the spellings that it can think of; or begins, and goes on for ever. */
export async function serveApi(url: URL, req: IncomingMessage, res: ServerResponse) {
  const given = req.headers.authorization ?? "";
  const value = given.replace(/^Bearer /, "");
  if (url.pathname === "/401") return res.writeHead(401).end(`Incorrect key ${value.slice(0, -4)}`);
  if (url.pathname === "/away") return res.writeHead(307, { location: `https://${otherHost}/x` }).end();
  if (url.pathname === "/near") return res.writeHead(307, { location: `/v1/near?key=${value}` }).end();
  if (url.pathname === "/zipped") return res.writeHead(200, { "content-encoding": "gzip" }).end("x");
  if (url.pathname === "/headers") {
    const lines = Object.entries(req.headers).map(([name, value]) => `${name}: ${String(value)}`);
    return res.end(`${lines.join("\n")}\nbody ${await text(req)}`);
  }
  res.writeHead(200, { "x-echo": given, "set-cookie": `session=${value}` });
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
