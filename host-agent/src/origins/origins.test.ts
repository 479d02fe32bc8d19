/** Real git and curl through the real egress proxy to a forge behind TLS, with a credential that none of them has. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { gitCredentialBody, secretBody } from "@berth/shared/credentials/credentials";
import { apiValue, forgeToken, forgeUser, otherHost } from "../../test/forge.ts";
import { startTlsServers, tlsHosts, type TlsServers } from "../../test/tls-servers.ts";
import { createEgressProxy } from "../egress/proxy.ts";
import { createCredentials } from "../store/credentials.ts";
import { openDatabase } from "../store/open.ts";
import { Store } from "../store/store.ts";
import { openPullRequest } from "./forges.ts";
import { createKeep } from "./keep.ts";
import { createOrigins } from "./origins.ts";
import { gitRewrites } from "./rules.ts";

const run = promisify(execFile);
const forge = tlsHosts.forge;
const bundled = tls.getCACertificates("default");
let servers: TlsServers;
let dir = "";
let logged = "";
let store: Store;
let parts: ReturnType<typeof assemble>;
/** The proxies of two users' workspaces. */
const proxies: Record<string, Server> = {};
let at = 0;

beforeAll(async () => {
  servers = await startTlsServers();
  tls.setDefaultCACertificates([...bundled, readFileSync(servers.caPath, "utf8")]);
  dir = mkdtempSync(join(tmpdir(), "berth-origins-"));
  parts = assemble();
  for (const user of ["ada", "eve"]) {
    proxies[user] = parts.egress.serversFor(user)("");
    await new Promise<void>((resolve) => proxies[user]!.listen(0, "127.0.0.1", resolve));
  }
});
afterAll(async () => {
  tls.setDefaultCACertificates(bundled);
  for (const proxy of Object.values(proxies)) {
    proxy.close();
    proxy.closeAllConnections();
  }
  store.close();
  await servers.close();
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(() => connect());

function assemble() {
  const database = openDatabase(join(dir, "host.db"));
  store = new Store(database, Date.now);
  const credentials = createCredentials(database, Date.now);
  const write = (event: string, fields?: object) => void (logged += JSON.stringify({ event, ...fields }));
  const log = { info: write, warn: write, error: write };
  const origins = createOrigins({ credentials, log });
  const keep = createKeep({ credentials, origins, onGitChanged: async () => {} });
  const { lookup, connect } = servers;
  const allow = [tlsHosts.api];
  const egress = createEgressProxy({ mode: "allowlist", allow, origins, log, lookup, connect });
  return { credentials, origins, keep, egress };
}

const connect = (more: object = {}) =>
  parts.keep.putGitCredential(
    "ada",
    forge,
    gitCredentialBody.parse({ username: forgeUser, token: forgeToken, ...more }),
  );
const keepSecret = (more: object = {}) =>
  parts.keep.putSecret("ada", "tracker", secretBody.parse({ value: apiValue, hosts: [tlsHosts.api], ...more }));
const portOf = (user: string) => (proxies[user]!.address() as AddressInfo).port;

/** The environment of a workspace of this user. */
function environment(user = "ada") {
  const config = join(dir, `config-${user}`);
  const rewrites = parts.keep.gitCredentials("ada").flatMap(gitRewrites);
  writeFileSync(
    config,
    `${rewrites.map(({ origin, written }) => `[url "${origin}"]\n${written.map((start) => `insteadOf = ${start}\n`).join("")}`).join("")}
[url "https://${forge}/"]\ninsteadOf = git@${forge}:\n[user]\nname = t\nemail = t@t.test\n`,
  );
  const proxy = `http://127.0.0.1:${portOf(user)}`;
  return {
    PATH: process.env["PATH"],
    HOME: dir,
    GIT_CONFIG_SYSTEM: config,
    GIT_TERMINAL_PROMPT: "0",
    http_proxy: proxy,
    https_proxy: proxy,
  };
}
async function git(args: string[], { cwd = dir, user = "ada" } = {}): Promise<string> {
  const { stdout, stderr } = await run("git", args, { cwd, env: environment(user) });
  return stdout + stderr;
}
/** What git says to a person. */
const refusal = (args: string[], more = {}) =>
  git(args, more).then(
    (said) => `went through: ${said}`,
    (error: { stderr: string }) => error.stderr,
  );
async function clone(...args: string[]): Promise<string> {
  const into = join(dir, `clone-${++at}`);
  await git(["clone", "-q", ...args, into]);
  return into;
}

/** A call as a program in the workspace makes it. */
function ask(url: string, { method = "GET", headers = {}, body = "", user = "ada" } = {}) {
  return new Promise<{ status: number; headers: http.IncomingHttpHeaders; body: string }>((resolve, reject) => {
    const options = { host: "127.0.0.1", port: portOf(user), path: url, method, headers };
    const sent = http.request(options, async (res) => {
      let text = "";
      for await (const piece of res) text += String(piece);
      resolve({ status: res.statusCode!, headers: res.headers, body: text });
    });
    sent.on("error", reject).end(body);
  });
}
const secret = "http://tracker.secret.berth.internal";
const origin = `http://${forge}.git.berth.internal`;

describe("git with a connected host", () => {
  test("clones with a submodule, fetches, pushes branches and tags, and knows no credential", async () => {
    const app = await clone("--recurse-submodules", `https://${forge}/team/app.git`);
    expect(readFileSync(join(app, "lib/README.md"), "utf8")).toBe("lib\n");
    writeFileSync(join(app, "new.bin"), Buffer.alloc(3_000_000, 7));
    await git(["checkout", "-q", "-b", "work"], { cwd: app });
    await git(["add", "."], { cwd: app });
    await git(["commit", "-q", "-m", "work"], { cwd: app });
    await git(["tag", "v1"], { cwd: app });
    await git(["push", "-q", "origin", "work", "v1"], { cwd: app });
    expect(await git(["ls-remote", "origin"], { cwd: app })).toMatch(/refs\/heads\/work\n[^]*refs\/tags\/v1\n/);
    expect(await git(["fetch", "-q", "--tags", "origin"], { cwd: app })).toBe("");
    expect(await git(["remote", "-v"], { cwd: app })).toContain(
      `https://${forge}/team/app.git`.replace("https", "http").replace(forge, `${forge}.git.berth.internal`),
    );
    expect(await git(["config", "--list"], { cwd: app })).not.toContain(forgeToken);
  });

  test("reads what is written for ssh", async () => {
    expect(existsSync(join(await clone(`git@${forge}:team/lib.git`), "README.md"))).toBe(true);
    expect(existsSync(join(await clone(`ssh://git@${forge}/team/lib.git`), "README.md"))).toBe(true);
  });

  test("goes where the host leads on to itself, and to no other", async () => {
    expect(existsSync(join(await clone(`https://${forge}/renamed/lib.git`), "README.md"))).toBe(true);
    const said = await refusal(["clone", `https://${forge}/moved/lib.git`, "x"]);
    expect(said).toContain(`${forge} leads on to ${otherHost}, and a credential goes nowhere but to its own host.`);
  });

  test("reads and does not write where the credential is read-only", async () => {
    await connect({ readOnly: true });
    const lib = await clone(`https://${forge}/team/lib.git`);
    const said = await refusal(["push", "origin", "HEAD:refs/heads/no"], { cwd: lib });
    expect(said).toContain(`Berth refuses this: the credential for ${forge} is read-only.`);
    expect(await git(["ls-remote", "origin"], { cwd: lib })).not.toContain("refs/heads/no");
    const post = {
      method: "POST",
      headers: { "content-type": "application/x-git-receive-pack-request" },
      body: "0000",
    };
    expect((await ask(`${origin}/team/lib.git/git-receive-pack`, post)).status).toBe(403);
    const batch = (operation: string, double = "") => ({
      method: "POST",
      body: `{"operation":"${operation}"${double},"objects":[]}`,
    });
    const lfs = `${origin}/team/lib.git/info/lfs/objects/batch`;
    expect((await ask(lfs, batch("download"))).status).toBe(200);
    expect((await ask(lfs, batch("upload"))).status).toBe(403);
    expect((await ask(lfs, batch("download", ',"operation":"upload"'))).status).toBe(403);
  });

  test("reaches the repositories that the credential names, and no other, however it is written", async () => {
    await connect({ repositories: ["team/lib"] });
    expect(existsSync(join(await clone(`https://${forge}/team/lib.git`), "README.md"))).toBe(true);
    expect(existsSync(join(await clone(`git@${forge}:team/lib`), "README.md"))).toBe(true);
    const calls = servers.forge.calls.length;
    for (const path of [
      "team/other.git",
      "team/lib.git/../other.git",
      "team/lib.git/%2e%2e/other.git",
      "team/lib/..%2fother.git",
      "team//lib.git",
      "team/lib.git/",
      "team/lib%252f..%252fother",
      "team/lib/..;/other.git",
      "Team/lib.git",
      "team/lib2",
      "team%2flib.git",
    ]) {
      const { status, body } = await ask(`${origin}/${path}/info/refs?service=git-upload-pack`);
      expect([path, status, body]).toEqual([path, 403, expect.stringMatching(/^Berth refuses this: /)]);
    }
    expect(servers.forge.calls).toHaveLength(calls);
  });

  test("reaches others of that host without the credential, though their names begin as one does, if the host is on the list", async () => {
    const { github } = tlsHosts;
    const body = { username: forgeUser, token: forgeToken, repositories: ["team/lib"] };
    await parts.keep.putGitCredential("ada", github, gitCredentialBody.parse(body));
    expect(existsSync(join(await clone(`https://${github}/team/lib.git`), "README.md"))).toBe(true);
    const open = await clone(`https://${github}/team/lib-open.git`);
    expect(readFileSync(join(open, "README.md"), "utf8")).toBe("lib-open\n");
    const others = "Berth refuses this: the credential for github.com is for other repositories than this one.";
    expect(await refusal(["push", "origin", "HEAD:refs/heads/no"], { cwd: open })).toContain(others);
    expect(await refusal(["clone", `${origin.replace(forge, github)}/team/other.git`, "x"])).toContain(others);
    await parts.keep.remove("ada", "git", github);
  });

  test("is led there from ssh where the host's https has a port of its own, if no other of that name is meant", async () => {
    const led = (url: string) => git(["ls-remote", "--get-url", url]);
    const body = gitCredentialBody.parse({ username: forgeUser, token: forgeToken });
    await parts.keep.putGitCredential("ada", "a.gitea.example:3000", body);
    for (const url of ["git@a.gitea.example:team/app", "ssh://git@a.gitea.example:2222/team/app"])
      expect(await led(url)).toBe("http://a.gitea.example.git.berth.internal:3000/team/app\n");
    await parts.keep.putGitCredential("ada", "a.gitea.example", body);
    expect(await led("git@a.gitea.example:team/app")).toBe("http://a.gitea.example.git.berth.internal/team/app\n");
    expect(await led("https://a.gitea.example:3000/x")).toBe("http://a.gitea.example.git.berth.internal:3000/x\n");
    for (const host of ["a.gitea.example", "a.gitea.example:3000"]) await parts.keep.remove("ada", "git", host);
  });

  test("is led there by each address that people copy", async () => {
    for (const start of [
      `https://${forgeUser}@${forge}/`,
      `https://git@${forge}/`,
      `http://${forge}/`,
      `git://${forge}/`,
    ])
      expect(existsSync(join(await clone(`${start}team/lib.git`), "README.md"))).toBe(true);
  });

  test.each([
    ["GET", "/team/app.git/HEAD"],
    ["GET", "/team/app.git/info/refs"],
    ["GET", "/team/app.git/info/refs?service=git-upload-pack&service=git-receive-pack"],
    ["POST", "/team/app.git/info/refs?service=git-upload-pack"],
    ["GET", "/team/app.git/git-upload-pack"],
    ["DELETE", "/team/app.git/git-upload-pack"],
    ["GET", "/api/v1/user"],
    ["POST", "/api/v1/repos/team/app/pulls"],
    ["POST", "/user/settings?x=/git-upload-pack"],
    ["GET", "/"],
  ])("passes git's own calls alone: not %s %s", async (method, path) => {
    const calls = servers.forge.calls.length;
    const { status, body } = await ask(origin + path, { method });
    expect([status, body]).toEqual([
      403,
      `Berth refuses this: only git's own calls go to ${forge} with its credential.\n`,
    ]);
    expect(servers.forge.calls).toHaveLength(calls);
  });

  test("hears of a credential that the host refuses, and nothing of the credential", async () => {
    await connect({ token: "tok_Zq8-of-yesterday" });
    const said = await refusal(["clone", `https://${forge}/team/lib.git`, "x"]);
    expect(said).toContain(`${forge} refuses your credential: replace it by PUT /v1/git-credentials/${forge}.`);
    expect(said).not.toMatch(/tok_Zq8|bad credential|Basic/);
  });

  test("is of no use to another user's agents", async () => {
    const said = await refusal(["clone", `https://${forge}/team/lib.git`, "x"], { user: "eve" });
    expect(said).toContain(`you have no credential for git at ${forge}`);
  });

  test.each([
    ["clone", () => ["clone", `https://${forge}/slow/team/big.git`, `slow-${++at}`]],
    [
      "push",
      async () => {
        const big = await clone(`https://${forge}/team/big.git`);
        writeFileSync(join(big, "more.bin"), randomBytes(3_000_000));
        await git(["add", "."], { cwd: big });
        await git(["commit", "-q", "-m", "more"], { cwd: big });
        return ["-C", big, "push", `https://${forge}/slow/team/big.git`, "HEAD:refs/heads/more"];
      },
    ],
  ])("is cut by its revocation, and says so: a %s", async (_, prepare) => {
    const args = await prepare();
    const calls = servers.forge.slow.length;
    const going = refusal(args);
    await expect.poll(() => servers.forge.slow.length).toBeGreaterThan(calls);
    const since = performance.now();
    await parts.keep.remove("ada", "git", forge);
    expect(await going).toMatch(/^(error|fatal): /m);
    await expect.poll(() => servers.forge.slow.at(-1)!.isOpen).toBe(false);
    // What stands still ends by nothing else in that time; it is no measure of speed.
    expect(performance.now() - since).toBeLessThan(10_000);
    await connect();
    expect(await git(["ls-remote", `https://${forge}/team/big.git`])).not.toContain("more");
  });

  test("ends with its credential", async () => {
    await parts.keep.remove("ada", "git", forge);
    const { status } = await ask(`${origin}/team/lib.git/info/refs?service=git-upload-pack`);
    expect(status).toBe(403);
    expect(parts.keep.gitCredentials("ada")).toEqual([]);
  });
});

describe("a secret", () => {
  beforeEach(() => keepSecret());

  test("goes with a call in its header, and comes back in no spelling", async () => {
    const { status, body, headers } = await ask(`${secret}/v1/things?q=1`, { method: "POST", body: "hello" });
    const stars = (text: string) => "*".repeat(text.length);
    expect([status, body]).toEqual([
      200,
      `true POST /v1/things?q=1 ${stars(apiValue)} ${stars(apiValue)} ${stars(btoa(apiValue))} {"given":"Bearer ${stars(apiValue)}"} hello`,
    ]);
    expect(headers).toMatchObject({ "x-echo": `Bearer ${stars(apiValue)}` });
    expect(headers["set-cookie"]).toBeUndefined();
    expect(JSON.stringify(headers).toLowerCase()).not.toContain(apiValue.toLowerCase());
    expect((await ask(`${secret}/401`)).body).toBe(
      `${tlsHosts.api} refuses the secret tracker: replace it by PUT /v1/secrets/tracker.\n`,
    );
    expect((await ask(`${secret}/zipped`)).status).toBe(502);
  });

  test("is masked in as many headers as an API has, and an answer with more is none", async () => {
    const { status, headers } = await ask(`${secret}/many?n=90`);
    expect([status, headers["x-0"], headers["x-89"]]).toEqual([
      200,
      ...Array(2).fill(`Bearer ${"*".repeat(apiValue.length)}`),
    ]);
    const refused = await ask(`${secret}/many?n=150`);
    expect([refused.status, refused.body]).toEqual([502, `${tlsHosts.api} answers with more than 100 headers.\n`]);
    expect(refused.headers["x-0"]).toBeUndefined();
  });

  test("is masked as whole answers have it alone: no part is asked for, and a body has frames in any method", async () => {
    const headers = { range: "bytes=0-9", "transfer-encoding": "chunked" };
    const { status, body } = await ask(`${secret}/headers`, { headers, body: "GET /smuggled HTTP/1.1\r\n\r\n" });
    expect([status, body]).toEqual([200, expect.stringMatching(/transfer-encoding: chunked/)]);
    expect(body).not.toMatch(/range/);
    expect(body).toContain("body GET /smuggled");
  });

  test("is told apart from https, which no workspace could verify", async () => {
    const { stderr } = await run("curl", ["-sSv", "https://tracker.secret.berth.internal/x"], {
      env: environment(),
    }).catch((error: { stderr: string }) => error);
    expect(stderr).toContain("403");
  });

  test("goes in place of what the agent sends in that header, and to a host of its own that is named", async () => {
    const headers = { authorization: "Bearer mine", "x-http-method-override": "DELETE" };
    expect((await ask(`http://${tlsHosts.api}.tracker.secret.berth.internal/x`, { headers })).body).toMatch(
      /^true GET/,
    );
    expect((await ask(`http://${otherHost}.tracker.secret.berth.internal/hello.txt`)).status).toBe(403);
  });

  test("is led on to its own host alone, and shows not in the address", async () => {
    const near = await ask(`${secret}/near`);
    expect([near.status, near.headers.location]).toEqual([307, `${secret}/v1/near?key=${"*".repeat(apiValue.length)}`]);
    expect((await ask(`${secret}/away`)).status).toBe(502);
  });

  test("is for its methods and for what lies below its paths", async () => {
    await keepSecret({ methods: ["GET"], paths: ["/v1/issues", "/v2/"] });
    const statuses: [string, number][] = [];
    const paths = ["/v1/issues", "/v1/issues/7?x=1", "/v2/x", "/v1/issuesx", "/v1", "/v1/issues/../admin"];
    for (const path of [
      ...paths,
      "/v1/issues/%2e%2e/admin",
      "/v1/issues/..%2fadmin",
      "//v1/issues",
      "/v1/issues/..;/x",
    ])
      statuses.push([path, (await ask(secret + path)).status]);
    expect(statuses.filter(([, status]) => status === 200).map(([path]) => path)).toEqual(paths.slice(0, 3));
    expect((await ask(`${secret}/v1/issues`, { method: "POST" })).status).toBe(403);
  });

  test("is of no use to another user's agents", async () => {
    const { status, body } = await ask(`${secret}/x`, { user: "eve" });
    expect([status, body]).toEqual([
      403,
      "Berth refuses this: you have no secret tracker (PUT /v1/secrets/tracker).\n",
    ]);
  });

  test("reaches the operator's hosts alone", async () => {
    await keepSecret({ hosts: [otherHost] });
    expect((await ask(`${secret}/hello.txt`)).body).toMatch(/Berth refuses files\.berth\.test.*BERTH_EGRESS_ALLOW/);
  });

  test("is revoked at once, also for a call under way", async () => {
    const { port } = proxies["ada"]!.address() as AddressInfo;
    const begun = await new Promise<http.IncomingMessage>((resolve, reject) => {
      http.get({ host: "127.0.0.1", port, path: `${secret}/stream` }, resolve).on("error", reject);
    });
    await new Promise((resolve) => begun.once("data", resolve));
    const since = performance.now();
    const cut = new Promise((resolve) => begun.on("error", resolve).on("aborted", resolve));
    await parts.keep.remove("ada", "secret", "tracker");
    await cut;
    expect((await ask(`${secret}/x`)).status).toBe(403);
    expect(performance.now() - since).toBeLessThan(10_000);
  });

  test("is there for clients that ask for a tunnel first, one call each", async () => {
    const { stdout } = await run("curl", ["-sS", "-p", `${secret}/v1/x`], { env: environment() });
    expect(stdout).toMatch(/^true GET \/v1\/x/);
  });
});

describe("a pull request", () => {
  const open = (base?: string, host: string = forge, repository = "team/app", name = "topic") =>
    openPullRequest(parts, "ada", { host, repository, name }, { title: "Mend it", body: "All of it.", base });
  const refused = (...args: Parameters<typeof open>) => open(...args).catch((caught: Error) => caught.message);
  const keep = (host: string, more = {}) =>
    parts.keep.putGitCredential(
      "ada",
      host,
      gitCredentialBody.parse({ username: forgeUser, token: forgeToken, ...more }),
    );

  test("is opened at the forge with the same credential", async () => {
    expect(await open("main")).toEqual({ url: `https://${forge}/team/app/pulls/1`, number: 1 });
    expect(servers.forge.pulls).toEqual([{ title: "Mend it", body: "All of it.", head: "topic", base: "main" }]);
  });

  test("is refused with the forge's words, without the credential that it repeats", async () => {
    expect(await refused("nowhere")).toMatch(
      /^forge\.berth\.test does not find it \(no branch nowhere for Basic \*+\): team\/app and the branches must be there, /,
    );
    expect(await refused()).toBe(`${forge} says: pull request already exists for these targets.`);
  });

  test("is none with a read-only credential, or one for other repositories", async () => {
    await connect({ readOnly: true });
    await expect(open("main")).rejects.toThrow("read-only");
    await connect({ repositories: ["team/lib"] });
    await expect(open("main")).rejects.toThrow("other repositories");
  });

  const { github, gitlab } = tlsHosts;
  test("goes to GitHub's API and GitLab's in their words, into the default branch where none is named", async () => {
    await keep(github);
    await keep(gitlab);
    expect(await open(undefined, github)).toEqual({ url: "https://github.com/team/app/pull/1", number: 1 });
    expect(await open("main", gitlab)).toEqual({ url: "https://gitlab.com/team/app/-/merge_requests/1", number: 1 });
    expect([...servers.github.pulls, ...servers.gitlab.pulls]).toEqual([
      { title: "Mend it", body: "All of it.", head: "topic", base: "main" },
      { title: "Mend it", description: "All of it.", source_branch: "topic", target_branch: "main" },
    ]);
  });

  test.each([
    [github, ["main"], "github.com says: Validation Failed; A pull request already exists for team:topic."],
    [github, ["nowhere"], "github.com says: Validation Failed; base: invalid."],
    [github, ["main", "team/app", "unpushed"], "github.com says: Validation Failed; head: invalid."],
    [github, ["main", "team/app", "even"], "github.com says: Validation Failed; No commits between main and even."],
    [
      github,
      ["main", "team/none"],
      "github.com does not find it (Not Found): team/none and the branches must be there, and your credential must reach them.",
    ],
    [
      github,
      ["main", "team/other"],
      "github.com does not let your credential open pull requests in team/other (Resource not accessible by personal access token): give it that right there.",
    ],
    [github, ["main", "team/renamed"], "github.com has team/renamed at another address: set the remote origin to it."],
    [gitlab, ["main"], "gitlab.com says: Another open merge request already exists for this source branch: !1."],
    [gitlab, ["nowhere", "team/app", "even"], "gitlab.com says: target_branch does not exist."],
    [
      gitlab,
      ["main", "team/none"],
      "gitlab.com does not find it (404 Project Not Found): team/none and the branches must be there, and your credential must reach them.",
    ],
    [
      gitlab,
      ["main", "team/other"],
      "gitlab.com does not let your credential open pull requests in team/other (insufficient_scope; The request requires higher privileges than provided by the access token): give it that right there.",
    ],
  ])("is refused in one sentence: %s %s", async (host, [base, repository, name], sentence) => {
    await keep(host);
    expect(await refused(base, host, repository, name)).toBe(sentence);
  });

  test("says of a credential that is refused what to do, and of a forge that is another kind what it wants to know", async () => {
    for (const host of [github, gitlab]) {
      await keep(host, { token: "tok_Zq8-of-yesterday" });
      expect(await refused("main", host)).toBe(`${host} refuses your credential: replace it.`);
    }
    await keep(tlsHosts.files);
    expect(await refused("main", tlsHosts.files)).toBe(
      `${tlsHosts.files} does not answer as its name suggests (status 404): say whose API it has, by "forge" in PUT /v1/git-credentials/${tlsHosts.files}.`,
    );
  });
});

test("neither the log nor the host's database has a value in clear text", () => {
  expect(logged).toContain("egress.refused");
  expect(logged).not.toMatch(/tok_Zq8|val_7Hc/);
  const kept = ["host.db", "host.db-wal"].map((name) => join(dir, name)).filter((path) => existsSync(path));
  expect(kept.length).toBeGreaterThan(0);
  for (const path of kept) {
    const text = readFileSync(path, "latin1");
    expect([path, text.includes(forgeToken), text.includes(apiValue)]).toEqual([path, false, false]);
  }
});
