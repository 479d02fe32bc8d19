/** What programs that no test can run make of the variables: the rules of Go, Java and httpx, as their documentation and sources have them. */
import { unseenAgent } from "@berth/shared/host-api";
import { parseSettings } from "@berth/shared/settings";
import { isIP, BlockList } from "node:net";
import { describe, expect, test } from "vitest";
import { environmentOf } from "./environment.ts";

const row = {
  userId: "usr_u",
  uid: 20_000,
  env: {},
  sessionId: "s",
  sessionUsed: false,
  deleted: false,
  rev: 1,
  permissions: "skip",
  onInterruption: "stop",
} as const;
const env = environmentOf(parseSettings({}), { ...unseenAgent("agt_a"), ...row });

/** golang.org/x/net/http/httpproxy: loopback never; an entry is an address, a network, a name with all below it, or, after a dot, all below it alone. */
function goesDirectInGo(host: string, noProxy: string): boolean {
  const family = isIP(host);
  const loopback = new BlockList();
  loopback.addSubnet("127.0.0.0", 8, "ipv4");
  loopback.addAddress("::1", "ipv6");
  if (host === "localhost" || (family && loopback.check(host, family === 6 ? "ipv6" : "ipv4"))) return true;
  return noProxy.split(",").some((entry) => {
    const [address = "", bits] = entry.split("/");
    if (bits && isIP(address) && family === isIP(address)) {
      const network = new BlockList();
      network.addSubnet(address, Number(bits), family === 6 ? "ipv6" : "ipv4");
      return network.check(host, family === 6 ? "ipv6" : "ipv4");
    }
    if (isIP(entry)) return entry === host;
    return entry.startsWith(".") ? host.endsWith(entry) : host === entry || host.endsWith(`.${entry}`);
  });
}

/** java.net: patterns between bars, with a star at either end; loopback by its own list only where the property is not set. */
function goesDirectInJava(host: string, options: string): boolean {
  const patterns = /-Dhttp\.nonProxyHosts=(\S+)/.exec(options)![1]!.split("|");
  const toRegExp = (pattern: string) =>
    new RegExp(`^${pattern.replaceAll(/[.[\]]/g, "\\$&").replaceAll("*", ".*")}$`, "i");
  return patterns.some((pattern) => toRegExp(pattern).test(host));
}

/** httpx of Python, in the SDKs of model APIs: what it makes of an entry; null where it refuses to start. */
function patternInHttpx(entry: string): string | null {
  if (entry.includes("://")) return URL.canParse(entry) ? entry : null;
  const [address = ""] = entry.split("/");
  if (isIP(address) === 4 || entry.toLowerCase() === "localhost") return `all://${entry}`;
  if (isIP(address) === 6) return entry === address ? `all://[${entry}]` : null;
  return /^[^:/]*(:\d*)?$/.test(entry) ? `all://*${entry}` : null;
}

describe("the proxy, as httpx reads it", () => {
  test("is not asked for what is inside, and no entry keeps it from starting", () => {
    const patterns = env["NO_PROXY"]!.split(",").map((entry) => patternInHttpx(entry.trim()));
    expect(patterns).not.toContain(null);
    for (const host of ["localhost", "127.0.0.1", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]"])
      expect(patterns).toContain(`all://${host}`);
    expect(patterns).toContain("all://*berth");
  });

  test("would not start with a bracket, nor with a network of IPv6", () => {
    expect(["[::1]", "::/0"].map(patternInHttpx)).toEqual([null, null]);
  });
});

/** requests of Python: an address is compared whole or by its network, any other name by its end, with and without its port. */
const goesDirectInRequests = (host: string, noProxy: string) =>
  noProxy.split(",").some((entry) => (isIP(host.split(":")[0]!) === 4 ? entry === host : host.endsWith(entry)));

describe("the proxy, as requests reads it", () => {
  test.each(["example.com:3000", "registry.example.com:8080", "example.com", "10.0.0.1"])("is asked for %s", (host) => {
    expect(goesDirectInRequests(host, env["NO_PROXY"]!)).toBe(false);
  });
});

describe("the proxy, as Go reads it", () => {
  const { NO_PROXY = "", no_proxy, HTTPS_PROXY, HTTP_PROXY } = env;
  test.each([
    "localhost",
    "127.0.0.1",
    "127.0.0.9",
    "0.0.0.0",
    "::1",
    "::",
    "app.localhost",
    "berth",
    "127.1",
    "ip6-localhost",
    "localhost.localdomain",
  ])("is not asked for %s", (host) => {
    expect([goesDirectInGo(host, NO_PROXY), no_proxy]).toEqual([true, NO_PROXY]);
  });

  test.each(["example.com", "notlocalhost", "berth.example.com", "10.0.0.1", "2001:db8::1"])(
    "is asked for %s",
    (host) => {
      expect([goesDirectInGo(host, NO_PROXY), HTTPS_PROXY, HTTP_PROXY]).toEqual([
        false,
        "http://127.0.0.1:3128",
        "http://127.0.0.1:3128",
      ]);
    },
  );
});

describe("the proxy, as Java reads it", () => {
  const { JAVA_TOOL_OPTIONS = "" } = env;
  test.each([
    "localhost",
    "127.0.0.1",
    "127.0.0.9",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "app.localhost",
    "berth",
    "127.1",
    "ip6-localhost",
    "localhost.localdomain",
  ])("is not asked for %s", (host) => {
    expect(goesDirectInJava(host, JAVA_TOOL_OPTIONS)).toBe(true);
  });

  test.each(["example.com", "notlocalhost", "berth.example.com", "10.0.0.1"])("is asked for %s", (host) => {
    expect(goesDirectInJava(host, JAVA_TOOL_OPTIONS)).toBe(false);
    for (const scheme of ["http", "https"])
      expect(JAVA_TOOL_OPTIONS.split(" ")).toEqual(
        expect.arrayContaining([`-D${scheme}.proxyHost=127.0.0.1`, `-D${scheme}.proxyPort=3128`]),
      );
  });

  test("is none where there is no way out, and the agent's own options come after it", () => {
    const optionsOf = (egress: string, own: Record<string, string> = {}) =>
      environmentOf(parseSettings({ BERTH_EGRESS: egress }), { ...unseenAgent("agt_a"), ...row, env: own })[
        "JAVA_TOOL_OPTIONS"
      ];
    expect(optionsOf("none")).toBeUndefined();
    expect(optionsOf("none", { JAVA_TOOL_OPTIONS: "-Xmx1g" })).toBe("-Xmx1g");
    expect(optionsOf("open", { JAVA_TOOL_OPTIONS: "-Xmx1g" })).toBe(`${JAVA_TOOL_OPTIONS} -Xmx1g`);
  });
});
