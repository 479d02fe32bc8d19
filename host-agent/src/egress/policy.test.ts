import { expect, test } from "vitest";
import { builtInHosts } from "./built-in-hosts.ts";
import { isLoopback, isPublicAddress, parseRule, parseTarget, refusalOf } from "./policy.ts";

test.each([
  ["example.com:443", "example.com", 443],
  ["EXAMPLE.Com:80", "example.com", 80],
  ["example.com.:443", "example.com", 443],
  ["xn--bcher-kva.example:443", "xn--bcher-kva.example", 443],
  ["a_b.example.com:8443", "a_b.example.com", 8443],
  ["93.184.216.34:443", "93.184.216.34", 443],
  ["[2606:2800:220:1::1]:443", "2606:2800:220:1::1", 443],
  ["[2606:2800:0220:0001:0::1]:443", "2606:2800:220:1::1", 443],
  ["3com.example:443", "3com.example", 443],
])("%s is read as %s, port %d", (authority, host, port) => {
  expect(parseTarget(authority)).toMatchObject({ host, port });
});

test.each([
  "",
  ":443",
  "example.com",
  "example.com:",
  "example.com:0",
  "example.com:65536",
  "example.com:443:443",
  "example.com:-1",
  "example.com:0x1bb",
  "example.com:44a",
  "localhost:443",
  "metadata:80",
  ".:443",
  "..:443",
  ".example.com:443",
  "example..com:443",
  "example.com..:443",
  "user@example.com:443",
  "user:pw@example.com:443",
  "exa%6dple.com:443",
  "127.0.0.1%2eexample.com:443",
  "example.com/:443",
  "example.com#.github.com:443",
  "example.com\\.github.com:443",
  "bücher.example:443",
  "①②⑦.0.0.1:443",
  "example。com:443",
  "-a.example.com:443",
  "a-.example.com:443",
  "*.example.com:443",
  "127.1:80",
  "127.0.1:80",
  "2130706433:80",
  "0x7f.1:80",
  "0x7f000001:80",
  "0x7f.0.0.1:80",
  "0177.0.0.1:80",
  "017700000001:80",
  "127.0.0.01:80",
  "127.0.0.1.:80x",
  "1.2.3.4.5:80",
  "256.1.1.1:80",
  "999:80",
  "1.2.3:80",
  "example.0x10:80",
  "example.1:80",
  "[::1:80",
  "::1:80",
  "[]:80",
  "[fe80::1%eth0]:80",
  "[fe80::1%25eth0]:80",
  "[example.com]:80",
  "[127.0.0.1]:80",
  "[::1]x:80",
  `${"a".repeat(64)}.example.com:443`,
  `${"a.".repeat(127)}com:443`,
])("%j is no target", (authority) => {
  expect(parseTarget(authority)).toBeNull();
});

test.each([
  "8.8.8.8",
  "93.184.216.34",
  "1.1.1.1",
  "172.15.255.255",
  "172.32.0.1",
  "100.63.255.255",
  "100.128.0.1",
  "192.167.1.1",
  "2606:4700::1111",
  "2a00:1450:4001::200e",
  "2400:cb00::1",
])("%s is public", (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

test.each([
  "0.0.0.0",
  "0.1.2.3",
  "10.0.0.1",
  "10.255.255.255",
  "100.64.0.1",
  "100.127.255.255",
  "127.0.0.1",
  "127.255.255.254",
  "169.254.169.254",
  "169.254.0.1",
  "168.63.129.16",
  "172.16.0.1",
  "172.31.255.255",
  "192.0.0.1",
  "192.0.2.1",
  "192.88.99.1",
  "192.168.1.1",
  "198.18.0.1",
  "198.51.100.1",
  "203.0.113.1",
  "224.0.0.1",
  "239.255.255.255",
  "240.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::127.0.0.1",
  "::8.8.8.8",
  "::ffff:127.0.0.1",
  "::ffff:8.8.8.8",
  "::ffff:7f00:1",
  "::ffff:0:127.0.0.1",
  "64:ff9b::127.0.0.1",
  "64:ff9b::a9fe:a9fe",
  "64:ff9b::8.8.8.8",
  "64:ff9b:1::1",
  "2002:7f00:1::",
  "2002:808:808::1",
  "2001::1",
  "2001:0:4136:e378:8000:63bf:3fff:fdd2",
  "2001:2::1",
  "2001:db8::1",
  "2001:10::1",
  "2001:20::1",
  "3fff::1",
  "fc00::1",
  "fd00:ec2::254",
  "fdff::1",
  "fe80::1",
  "fe80::1%eth0",
  "fec0::1",
  "ff02::1",
  "100::1",
  "4000::1",
  "5f00::1",
  "",
  "localhost",
  "127.1",
  "2130706433",
  "0x7f.0.0.1",
  "0177.0.0.1",
  "1.2.3.4.5",
  "8.8.8.8:80",
])("%s is not public", (address) => {
  expect(isPublicAddress(address)).toBe(false);
});

const rules = [
  ...builtInHosts,
  "Example.com",
  "*.sub.example.org",
  "ports.example.com:8443",
  "8.8.4.4",
  "10.1.2.3",
  "[2606:4700::1]:443",
  "*.wild.example:22",
].map(parseRule);
const refusal = (mode: "none" | "allowlist" | "open", authority: string) => {
  const target = parseTarget(authority);
  return target ? refusalOf(mode, rules, target) : "malformed";
};

test.each([
  "github.com:443",
  "codeload.github.com:443",
  "raw.githubusercontent.com:443",
  "github-cloud.s3.amazonaws.com:443",
  "lfs.github.com:443",
  "GITHUB.com.:443",
  "example.com:443",
  "example.com:80",
  "a.sub.example.org:443",
  "b.a.sub.example.org:80",
  "ports.example.com:8443",
  "8.8.4.4:443",
  "[2606:4700::1]:443",
  "[2606:4700:0::1]:443",
  "x.wild.example:22",
])("the list allows %s", (authority) => {
  expect(refusal("allowlist", authority)).toBeNull();
});

test.each([
  "evil.example:443",
  "githubXcom.example:443",
  "notgithub.com:443",
  "s3.amazonaws.com:443",
  "another-bucket.s3.amazonaws.com:443",
  "x.github-cloud.s3.amazonaws.com:443",
  "github.com.evil.example:443",
  "example.com:22",
  "example.com:8443",
  "www.example.com:443",
  "sub.example.org:443",
  "xsub.example.org:443",
  "ports.example.com:443",
  "8.8.8.8:443",
  "8.8.4.4:22",
  "10.1.2.3:443",
  "127.0.0.1:443",
  "169.254.169.254:80",
  "[::1]:443",
  "[fd00:ec2::254]:80",
  "[::ffff:8.8.4.4]:443",
  "[2606:4700::2]:443",
  "x.wild.example:443",
])("the list refuses %s", (authority) => {
  expect(refusal("allowlist", authority)).toEqual(expect.any(String));
});

test.each([
  ["anything.example:443", true],
  ["anything.example:8080", true],
  ["anything.example:22", true],
  ["8.8.8.8:443", true],
  ["anything.example:25", false],
  ["10.0.0.1:443", false],
  ["[fe80::1]:443", false],
])("open: %s is allowed: %s", (authority, isAllowed) => {
  expect(refusal("open", authority) === null).toBe(isAllowed);
});

test("none refuses every target", () => {
  expect(refusal("none", "github.com:443")).toContain("BERTH_EGRESS=none");
});

test.each([
  "*",
  "*.",
  "*.com",
  "**.example.com",
  "a.*.example.com",
  "https://example.com",
  "example.com/x",
  "localhost",
  "*.8.8.8.8",
  "10.0.0.0/8",
  "example.com:0",
])("the pattern %j is refused with a sentence", (pattern) => {
  expect(() => parseRule(pattern)).toThrow(/BERTH_EGRESS_ALLOW/);
});

test.each([
  ["127.0.0.1:80", true],
  ["127.9.9.9", true],
  ["127.1:5174", true],
  ["2130706433:80", true],
  ["0x7f000001", true],
  ["0.0.0.0:5173", true],
  ["[::1]:80", true],
  ["[::]", true],
  ["[::ffff:127.0.0.1]:80", true],
  ["localhost.:80", true],
  ["app.LOCALHOST:80", true],
  ["10.0.0.1:80", false],
  ["128.0.0.1", false],
  ["localhost.example:80", false],
  ["[::2]:80", false],
])("%s means the machine itself: %s", (authority, isIt) => {
  expect(isLoopback(authority)).toBe(isIt);
});
