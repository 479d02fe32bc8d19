/**
 * A small internet for tests: HTTPS servers with a throw-away CA, under names that resolve to public-looking addresses.
 * `lookup` and `connect` go into the egress proxy, whose policy stays the real one; the servers listen on loopback.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import https from "node:https";
import net from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, normalize } from "node:path";
import { serveGiteaApi, serveGithubApi, serveGitlabApi } from "./forge-apis.ts";
import { makeForge, newForgeRecord, serveApi, serveForge } from "./forge.ts";
import {
  makeGitRepository,
  makeNpmTarballs,
  makeWheel,
  nativePackageName,
  wheelFile,
  wheelName,
} from "./tiny-packages.ts";

export { nativePackageName, npmPackageName, wheelName } from "./tiny-packages.ts";

/** The names; each is served on port 443 (HTTPS) and 80 (plain). */
export const tlsHosts = {
  /** `/hello.txt`, `/bytes?n=…`, `/echo` (answers with the body it got). */
  files: "files.berth.test",
  /** `/repo.git` */
  git: "git.berth.test",
  /** an npm registry that has `npmPackageName` */
  npm: "npm.berth.test",
  /** `/simple`: a Python index that has `wheelName` */
  pypi: "pypi.berth.test",
  /** Forges, as `forge.ts` has them: one as Gitea is, and two by their own names. */
  forge: "forge.berth.test",
  github: "github.com",
  githubApi: "api.github.com",
  gitlab: "gitlab.com",
  /** An API that says what it was sent. */
  api: "api.berth.test",
} as const;

export const helloText = "Hello over TLS\n";

export interface TlsServers {
  /** Path of the CA's certificate (PEM), readable by all. */
  caPath: string;
  httpsPort: number;
  httpPort: number;
  /** What the forges were asked. */
  forge: ForgeRecord;
  github: ForgeRecord;
  gitlab: ForgeRecord;
  /** Resolves the names above (and nothing else) to a public-looking address. */
  lookup(host: string): Promise<string[]>;
  /** Connects that address to the loopback servers: port 443 to HTTPS, 80 to plain HTTP; any other refuses. */
  connect(address: string, port: number): Socket;
  close(): Promise<void>;
}

type ForgeRecord = ReturnType<typeof newForgeRecord>;
const publicAddress = "93.184.216.34";

/** The way from the names to servers that listen on these loopback ports, also for another process. */
export function routeTo({
  httpsPort,
  httpPort,
}: Pick<TlsServers, "httpsPort" | "httpPort">): Pick<TlsServers, "lookup" | "connect"> {
  return {
    lookup: async (host) => {
      if (Object.values<string>(tlsHosts).includes(host)) return [publicAddress];
      throw new Error("no such name");
    },
    connect: (address, port) => {
      const local = address === publicAddress ? { 443: httpsPort, 80: httpPort }[port] : undefined;
      return net.connect({ host: "127.0.0.1", port: local ?? 1, allowHalfOpen: true });
    },
  };
}

export async function startTlsServers(): Promise<TlsServers> {
  const dir = mkdtempSync(join(tmpdir(), "berth-tls-"));
  makeCertificates(dir);
  const records = { forge: newForgeRecord(), github: newForgeRecord(), gitlab: newForgeRecord() };
  const listener = createSite(dir, records);
  const tls = { key: readFileSync(join(dir, "server.key")), cert: readFileSync(join(dir, "server.pem")) };
  const servers = [https.createServer(tls, listener), http.createServer(listener)];
  const [httpsPort = 0, httpPort = 0] = await Promise.all(servers.map(listenOnLoopback));
  execFileSync("chmod", ["755", dir]);
  return {
    caPath: join(dir, "ca.pem"),
    httpsPort,
    httpPort,
    ...records,
    ...routeTo({ httpsPort, httpPort }),
    close: async () => {
      for (const server of servers) server.closeAllConnections();
      await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function makeCertificates(dir: string) {
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: dir, stdio: "pipe" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const names = Object.values(tlsHosts).map((host) => `DNS:${host}`);
  const usage = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n";
  writeFileSync(
    join(dir, "ca.cnf"),
    `[req]\ndistinguished_name=dn\nprompt=no\nx509_extensions=ca\n[dn]\nCN=Berth test CA\n[ca]\n${usage}`,
  );
  writeFileSync(
    join(dir, "server.ext"),
    `subjectAltName=${names.join(",")}\nextendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid\n`,
  );
  openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-config", "ca.cnf");
  openssl("req", ...key, "-keyout", "server.key", "-out", "server.csr", "-subj", `/CN=${tlsHosts.files}`);
  const signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "server.ext"];
  openssl("x509", "-req", "-in", "server.csr", ...signing, "-out", "server.pem");
}

type Site = (url: URL, req: IncomingMessage, res: ServerResponse) => unknown;

function createSite(dir: string, records: Record<"forge" | "github" | "gitlab", ForgeRecord>): RequestListener {
  const root = makeForge(dir);
  const { pulls } = records.github;
  const sites: Record<string, Site> = {
    [tlsHosts.files]: serveFiles,
    [tlsHosts.git]: serveDirectory(makeGitRepository(dir), "/repo.git/"),
    [tlsHosts.npm]: serveNpm(makeNpmTarballs(dir)),
    [tlsHosts.pypi]: servePypi(makeWheel()),
    [tlsHosts.forge]: serveForge(root, records.forge, serveGiteaApi),
    [tlsHosts.github]: serveForge(root, records.github),
    [tlsHosts.githubApi]: (_, req, res) => serveGithubApi({ root, pulls, req, res }),
    [tlsHosts.gitlab]: serveForge(root, records.gitlab, serveGitlabApi),
    [tlsHosts.api]: serveApi,
  };
  return (req, res) => {
    const url = new URL(req.url ?? "/", `https://${req.headers.host ?? "none"}`);
    const site = sites[url.hostname];
    if (site) site(url, req, res);
    else res.writeHead(421).end();
  };
}

const serveFiles: Site = (url, req, res) => {
  if (url.pathname === "/hello.txt") return res.end(helloText);
  if (url.pathname === "/bytes") return res.end(Buffer.alloc(Number(url.searchParams.get("n")), "b"));
  if (url.pathname === "/echo") return req.pipe(res);
  return res.writeHead(404).end();
};

/** The files below `root`, enough for Git's plain ("dumb") HTTP. */
function serveDirectory(root: string, prefix: string): Site {
  return (url, _req, res) => {
    const path = normalize(url.pathname);
    if (!path.startsWith(prefix)) return res.writeHead(404).end();
    try {
      return res.end(readFileSync(join(root, path.slice(prefix.length))));
    } catch {
      return res.writeHead(404).end();
    }
  };
}

function serveNpm(tarballs: Record<string, Buffer>): Site {
  return (url, _req, res) => {
    const [, name = "", file] = url.pathname.split("/");
    const tarball = Object.hasOwn(tarballs, name) ? tarballs[name] : undefined;
    if (!tarball) return res.writeHead(404).end("{}");
    if (file === "-") return res.end(tarball);
    const integrity = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
    const dist = { tarball: `https://${tlsHosts.npm}/${name}/-/${name}-1.0.0.tgz`, integrity };
    const version = { name, version: "1.0.0", dist, ...(name === nativePackageName && { hasInstallScript: true }) };
    const body = { name, "dist-tags": { latest: "1.0.0" }, versions: { "1.0.0": version } };
    return res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
}

function servePypi(wheel: Buffer): Site {
  const hash = createHash("sha256").update(wheel).digest("hex");
  return (url, _req, res) => {
    if (url.pathname === `/files/${wheelFile}`) return res.end(wheel);
    if (url.pathname !== `/simple/${wheelName.replaceAll("_", "-")}/`) return res.writeHead(404).end();
    const link = `<a href="/files/${wheelFile}#sha256=${hash}">${wheelFile}</a>`;
    return res.writeHead(200, { "content-type": "text/html" }).end(`<!DOCTYPE html><html><body>${link}</body></html>`);
  };
}

function listenOnLoopback(server: http.Server | https.Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}
