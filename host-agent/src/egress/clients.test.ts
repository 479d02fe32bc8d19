/** The tools that agents use, through the egress proxy to TLS servers. */
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { helloText, npmPackageName, startTlsServers, tlsHosts, wheelName } from "../../test/tls-servers.ts";
import type { TlsServers } from "../../test/tls-servers.ts";
import { createEgressProxy } from "./proxy.ts";

const run = promisify(execFile);
const quiet = { info() {}, warn() {}, error() {} };

describe("through the egress proxy", () => {
  let servers: TlsServers;
  let proxy: Server;
  let dir = "";
  let env: NodeJS.ProcessEnv = {};

  beforeAll(async () => {
    servers = await startTlsServers();
    dir = mkdtempSync(join(tmpdir(), "berth-clients-"));
    const egress = createEgressProxy({
      mode: "allowlist",
      allow: ["*.berth.test"],
      log: quiet,
      lookup: servers.lookup,
      connect: servers.connect,
    });
    proxy = egress.serversFor("user1")("");
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    env = {
      PATH: process.env["PATH"],
      HOME: dir,
      PYENV_VERSION: process.env["PYENV_VERSION"],
      http_proxy: url,
      https_proxy: url,
      HTTP_PROXY: url,
      HTTPS_PROXY: url,
      NO_PROXY: "127.0.0.1",
      CURL_CA_BUNDLE: servers.caPath,
      GIT_SSL_CAINFO: servers.caPath,
      NODE_EXTRA_CA_CERTS: servers.caPath,
      PIP_CERT: servers.caPath,
    };
  });
  afterAll(async () => {
    proxy.close();
    proxy.closeAllConnections();
    await servers.close();
    rmSync(dir, { recursive: true, force: true });
  });

  test("curl gets a file over HTTPS and over plain HTTP", async () => {
    for (const scheme of ["https", "http"]) {
      const { stdout } = await run("curl", ["-sS", "--fail", `${scheme}://${tlsHosts.files}/hello.txt`], { env });
      expect(stdout).toBe(helloText);
    }
  });

  test("curl is told in a sentence why a host is refused", async () => {
    const { stdout } = await run("curl", ["-sS", "-w", "%{http_code}", "http://evil.example/"], { env });
    expect(stdout).toMatch(/^Berth refuses evil\.example: .*BERTH_EGRESS_ALLOW.*\n403$/);
    const refused = run("curl", ["-sS", "https://evil.example/"], { env });
    await expect(refused).rejects.toMatchObject({ stderr: expect.stringContaining("403") });
  });

  test("git clones", async () => {
    await run("git", ["clone", "-q", `https://${tlsHosts.git}/repo.git`, join(dir, "clone")], { env });
    expect(readFileSync(join(dir, "clone/README.md"), "utf8")).toBe("tiny\n");
  });

  test("npm installs", async () => {
    const flags = [
      "--registry",
      `https://${tlsHosts.npm}/`,
      "--no-audit",
      "--no-fund",
      "--no-update-notifier",
      "--cafile",
      servers.caPath,
    ];
    await run(
      "npm",
      ["install", npmPackageName, "--prefix", join(dir, "npm"), "--cache", join(dir, "npm-cache"), ...flags],
      { env },
    );
    expect(readFileSync(join(dir, "npm/node_modules", npmPackageName, "index.js"), "utf8")).toContain("tiny");
  });

  const hasPip = spawnSync("python3", ["-m", "pip", "--version"]).status === 0;
  const pythonClients = hasPip ? ["pip"] : [];
  test.each(pythonClients)("%s installs", async () => {
    const flags = [
      "--isolated",
      "--disable-pip-version-check",
      "--no-cache-dir",
      "--proxy",
      env["HTTPS_PROXY"] ?? "",
      "--cert",
      servers.caPath,
    ];
    const source = ["--index-url", `https://${tlsHosts.pypi}/simple`, "--target", join(dir, "python")];
    await run("python3", ["-m", "pip", "install", wheelName, ...flags, ...source], { env });
    expect(readFileSync(join(dir, "python", `${wheelName}.py`), "utf8")).toContain("tiny");
  });
});
