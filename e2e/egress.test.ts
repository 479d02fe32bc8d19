import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Agent, Run } from "@berth/shared/resources";
import {
  npmPackageName,
  startTlsServers,
  type TlsServers,
  tlsHosts,
  wheelName,
} from "../host-agent/test/tls-servers.ts";
import { type Client, textOf } from "./harness/client.ts";
import { until } from "../gateway/test/wait.ts";
import { type Berth, startBerth } from "./harness/harness.ts";

let servers: TlsServers;
let berth: Berth;
let alice: Client;
let agent: Agent;
beforeAll(async () => {
  servers = await startTlsServers();
  berth = await startBerth({ BERTH_IDLE_SECONDS: "600", TLS_PORTS: `${servers.httpsPort},${servers.httpPort}` });
  alice = await berth.client("alice");
  agent = await alice.createAgent("net", { runtime: "shell" });
  const { run } = await alice.runToEnd(
    agent.id,
    `cat > ca.pem <<'PEM'\n${readFileSync(servers.caPath, "utf8")}PEM\necho $HOME`,
  );
  const ca = `${run.result!.trim()}/ca.pem`;
  await alice.ok("PUT", `/v1/agents/${agent.id}/env`, {
    CURL_CA_BUNDLE: ca,
    GIT_SSL_CAINFO: ca,
    NODE_EXTRA_CA_CERTS: ca,
    npm_config_cafile: ca,
    PIP_CERT: ca,
  });
});
afterAll(async () => {
  await berth?.close();
  await servers?.close();
});

/** Starts the host agent with these settings, in front of the test servers. */
async function egress(mode: string, allow = ""): Promise<void> {
  await berth.host.kill("SIGTERM");
  await berth.host.start(
    { BERTH_EGRESS: mode, BERTH_EGRESS_ALLOW: allow },
    join(import.meta.dirname, "hosts/egress-host.ts"),
  );
  await until(async () => (await alice.call("GET", "/readyz")).status === 200, "the host is live again");
}
async function sh(script: string): Promise<{ out: string; run: Run }> {
  const { lines, run } = await alice.runToEnd(agent.id, script);
  return { out: lines.map(textOf).join("\n"), run };
}
const fetchTogether = (...urls: string[]) =>
  urls.map((url) => `curl -sS -m 10 -w ' %{http_code}\\n' '${url}' 2>&1`).join("; ");

describe("BERTH_EGRESS=allowlist", () => {
  beforeAll(() => egress("allowlist", Object.values(tlsHosts).join(",")));

  test("lets curl, git, npm and pip reach what is listed, over TLS that only the agent opens", async () => {
    expect(
      (await sh(`curl -sS https://${tlsHosts.files}/hello.txt; curl -sS http://${tlsHosts.files}/hello.txt`)).out,
    ).toBe("Hello over TLS\nHello over TLS");
    expect((await sh(`git clone -q https://${tlsHosts.git}/repo.git clone && cat clone/README.md`)).out).toBe("tiny");
    const npm = await sh(
      `mkdir app && cd app && npm install --no-audit --no-fund --registry https://${tlsHosts.npm}/ ${npmPackageName} >&2 && node -p 'require("${npmPackageName}")'`,
    );
    expect([npm.out, npm.run.exitCode]).toEqual(["tiny", 0]);
    const pip = await sh(
      `python3 -m pip install -q --disable-pip-version-check --index-url https://${tlsHosts.pypi}/simple --target py ${wheelName} >&2 && PYTHONPATH=py python3 -c 'import ${wheelName} as w; print(w.value)'`,
    );
    expect([pip.out, pip.run.exitCode]).toEqual(["tiny", 0]);
    expect(
      (
        await sh(
          `node -e 'fetch("https://${tlsHosts.files}/hello.txt").then(r => r.text()).then(t => process.stdout.write(t))'`,
        )
      ).out,
    ).toBe("Hello over TLS");
  });

  test("refuses what is not listed with a sentence that names the host and the setting", async () => {
    const { out } = await sh(
      `${fetchTogether("http://evil.example/x")}; curl -sS -v https://evil.example/ 2>&1 | grep -i 'berth\\|403'; git clone https://evil.example/repo.git 2>&1`,
    );
    expect(out).toMatch(/^Berth refuses evil\.example: .*BERTH_EGRESS_ALLOW.*\n 403/);
    expect(out).toMatch(/CONNECT tunnel failed, response 403|HTTP code 403/);
    expect(out).toMatch(/fatal: unable to access 'https:\/\/evil\.example\/repo\.git\/'.*403/);
    expect(berth.host.log()).toContain("evil.example");
  });

  test("leaves no way beside the proxy: no route, no datagram, no name", async () => {
    const { out } = await sh(`python3 - <<'PYTHON'
import errno, socket
def end_of(action):
    try:
        action()
        return "done"
    except socket.gaierror: return "no name"
    except OSError as error: return errno.errorcode[error.errno]
def udp(): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53))
print(end_of(lambda: socket.create_connection(("127.0.0.1", 3128), 5)))
print(end_of(lambda: socket.create_connection(("192.0.2.1", 443), 5)))
print(end_of(lambda: socket.create_connection(("2001:db8::1", 443), 5)))
print(end_of(udp))
print(end_of(lambda: socket.getaddrinfo("${tlsHosts.files}", 443)))
PYTHON
curl -sS --noproxy '*' -m 5 https://${tlsHosts.files}/ 2>&1`);
    expect(out.split("\n").slice(0, 5)).toEqual([
      "done",
      "ENETUNREACH",
      expect.stringMatching(/ENETUNREACH|EADDRNOTAVAIL|EAFNOSUPPORT/),
      "ENETUNREACH",
      "no name",
    ]);
    expect(out).toContain("Could not resolve host");
  });
});

describe("BERTH_EGRESS=open", () => {
  beforeAll(() => egress("open"));

  test("reaches every public name and no private, loopback or metadata address, under whatever name", async () => {
    expect((await sh(`curl -sS https://${tlsHosts.files}/hello.txt`)).out).toBe("Hello over TLS");
    const inside = ["loopback", "metadata", "private", "mapped"].map((name) => `http://${name}.berth.test/`);
    const literal = ["169.254.169.254", "10.0.0.1", "192.168.0.1", "[fd00::1]"];
    // The workspace itself, whose own servers the forwarder asks, and of which none listens there.
    const own = ["[::1]", "[::ffff:7f00:1]", "0.0.0.0", "2130706433", "0x7f.1", "localhost", "127.1"];
    const refused = [...inside, ...literal.map((host) => `http://${host}/`)].map((url) => [url, "403"]);
    const all = [...refused, ...own.map((host) => [`http://${host}/`, "503"])];
    const { out } = await sh(
      all.map(([url]) => `curl -sS -m 10 -g --noproxy '' -o /dev/null -w '%{http_code}\\n' '${url}'`).join("; "),
    );
    expect(out.split("\n").map((code, at) => [all[at]![0], code])).toEqual(all);
    const told = await sh(fetchTogether("http://metadata.berth.test/latest"));
    expect(told.out).toMatch(/^Berth refuses metadata\.berth\.test: .*not public/);
  });

  test("connects to the address it has checked, not to what the name means a moment later", async () => {
    const { out } = await sh(fetchTogether("http://rebinding.berth.test/", "http://rebinding.berth.test/"));
    // The first reaches the test server, which does not know the name (421); the second would be loopback.
    expect(out.split("\n")[0]!.trim()).toBe("421");
    expect(out).toMatch(/Berth refuses rebinding\.berth\.test: .*not public.*\n 403/);
  });
});

describe("BERTH_EGRESS=none", () => {
  beforeAll(() => egress("none", Object.values(tlsHosts).join(",")));

  test("reaches nothing, says so, and still has its model", async () => {
    const { out } = await sh(
      `env | grep -ciE '^(https?|all)_proxy='; ${["http", "https"].map((s) => `curl -sS -m 5 -x http://127.0.0.1:3128 ${s}://${tlsHosts.files}/hello.txt 2>&1`).join("; ")}`,
    );
    const [proxies, plain, tunnelled] = out.split("\n");
    expect(proxies).toBe("0");
    expect(plain).toMatch(/Berth refuses files\.berth\.test: .*BERTH_EGRESS=none/);
    expect(tunnelled).toContain("403");
  });

  test("leaves the pinned CLI its one way: ANTHROPIC_UNIX_SOCKET", async () => {
    const claude = await alice.createAgent("claude");
    const { run } = await alice.runToEnd(
      claude.id,
      "demo: run echo $ANTHROPIC_BASE_URL; curl -sS -m 5 http://localhost/v1/messages 2>&1",
    );
    expect(run).toMatchObject({ status: "completed" });
    expect(run.result).toMatch(/http:\/\/localhost\n.*(refused|connect to)/);
  });
});
