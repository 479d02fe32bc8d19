/** What a workspace may reach: the spelling of a target, the list of hosts, the addresses that are public. Pure: opens and resolves nothing. */
import ipaddr from "ipaddr.js";

export type EgressMode = "none" | "allowlist" | "open";
/** Where a client wants to go: a lower-case name, or an address in its usual spelling. */
export interface Target {
  host: string;
  port: number;
  isAddress: boolean;
}
export interface HostRule {
  host: string;
  /** True for `*.example.com`: names below `host`, not itself. */
  isWildcard: boolean;
  /** Null stands for the web's ports, 80 and 443. */
  port: number | null;
}

/** Names that may be private addresses, in this range alone. */
export interface PrivateRule extends HostRule {
  range: string;
}

const webPorts = [80, 443];
const smtpPort = 25;
const label = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?";
const nameOfTwoLabels = new RegExp(`^(?:${label}\\.)+${label}$`);

/**
 * Reads `host:port` or `[address]:port`; null for every spelling that could mean different things to different readers:
 * user information, percent signs, zones, numbers that some resolvers take for addresses, names of one label.
 */
export function parseTarget(authority: string, defaultPort: number | null = null): Target | null {
  const parsed = parseAuthority(authority);
  const port = parsed?.port ?? defaultPort;
  return parsed && port !== null ? { ...parsed, port } : null;
}

/** Reads one pattern of BERTH_EGRESS_ALLOW. Throws an Error whose message is a sentence. */
export function parseRule(pattern: string): HostRule {
  const rule = readRule(pattern);
  if (rule) return rule;
  const shown = pattern.slice(0, 100);
  throw new Error(`BERTH_EGRESS_ALLOW has "${shown}"; write host.example, *.host.example or host.example:8443.`);
}

/** Reads one `name=CIDR` of BERTH_EGRESS_PRIVATE. Throws an Error whose message is a sentence. */
export function parsePrivateRule(text: string): PrivateRule {
  const [, pattern = "", range = ""] = /^([^=]*)=(.*)$/.exec(text) ?? [];
  const rule = readRule(pattern);
  if (rule && !parseHost(rule.host)?.isAddress && ipaddr.isValidCIDR(range)) return { ...rule, range };
  const shown = text.slice(0, 100);
  throw new Error(`BERTH_EGRESS_PRIVATE has "${shown}"; write name=CIDR, as git.example.com=10.0.0.0/8.`);
}

function readRule(pattern: string): HostRule | null {
  const isWildcard = pattern.startsWith("*.");
  const parsed = parseAuthority(isWildcard ? pattern.slice(2) : pattern);
  return parsed && !(isWildcard && parsed.isAddress) ? { host: parsed.host, isWildcard, port: parsed.port } : null;
}

/** Why this target is refused before it is resolved, as the end of a sentence; null when it may be tried. */
export function refusalOf(mode: EgressMode, rules: HostRule[], target: Target): string | null {
  if (mode === "none") return "this workspace has no network (BERTH_EGRESS=none)";
  if (target.isAddress && !isPublicAddress(target.host)) return whyNone([target.host]);
  if (mode === "open") return target.port === smtpPort ? "no workspace sends mail (port 25)" : null;
  const isListed = rules.some((rule) => covers(rule, target));
  return isListed
    ? null
    : "it is not on the list of allowed hosts; BERTH_EGRESS_ALLOW says which hosts a workspace may reach";
}
export const notPublic =
  "its address is not public; BERTH_EGRESS_PRIVATE says which names may be private addresses, and in which range";
export const neverReached =
  "its address is not public, and of a kind that no setting opens: this machine, its like, or what stands for it";

/** Why none of these addresses is reached. */
export const whyNone = (addresses: string[]) => (addresses.some(isPrivateAddress) ? notPublic : neverReached);

/** Whether the address is an ordinary public one: neither special in any way nor a form that has another address in it. */
export function isPublicAddress(address: string): boolean {
  if (ipaddr.IPv4.isValidFourPartDecimal(address))
    return ipaddr.IPv4.parse(address).range() === "unicast" && !metadataOfClouds.includes(address);
  if (!ipaddr.IPv6.isValid(address)) return false;
  const parsed = ipaddr.IPv6.parse(address);
  return parsed.range() === "unicast" && parsed.match(globalUnicast);
}

/** Whether an operator may open it to a name: of a network of one's own, and no cloud's metadata. */
export function isPrivateAddress(address: string): boolean {
  if (!ipaddr.isValid(address) || metadataOfClouds.includes(normalizeAddress(address))) return false;
  return ["private", "carrierGradeNat", "uniqueLocal"].includes(ipaddr.parse(address).range());
}

/** Whether this private address is open to the target. */
export const isOpened = (rules: PrivateRule[], target: Target, address: string): boolean =>
  isPrivateAddress(address) && rules.some((rule) => covers(rule, target) && isInRange(address, rule.range));

/** `range` is a CIDR. */
export function isInRange(address: string, range: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const [parsed, [network, bits]] = [ipaddr.parse(address), ipaddr.parseCIDR(range)];
  return parsed.kind() === network.kind() && parsed.match(network, bits);
}
const globalUnicast = ipaddr.IPv6.parseCIDR("2000::/3");
/** What answers machines of a cloud about themselves, beside link-local addresses: Azure, Alibaba, AWS, Google. */
const metadataOfClouds = ["168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254"];

/** Whether some reader takes this for the machine itself: a client's own, which no proxy can reach. */
export function isLoopback(authority: string): boolean {
  const host = authority
    .toLowerCase()
    .replace(/:\d*$/, "")
    .replace(/\.$/, "")
    .replace(/^\[(.*)\]$/, "$1");
  if (host === "localhost" || host.endsWith(".localhost")) return true;
  return ipaddr.isValid(host) && ["loopback", "unspecified"].includes(ipaddr.process(host).range());
}

/** Canonical form: one spelling for one address, for comparing. */
export function normalizeAddress(address: string): string {
  const bare = address.split("%", 1)[0] ?? "";
  return ipaddr.isValid(bare) ? ipaddr.process(bare).toString() : address;
}

type Host = Omit<Target, "port">;

function parseAuthority(authority: string): (Host & { port: number | null }) | null {
  const [whole, address6, name, digits] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i.exec(authority) ?? [];
  const port = digits === undefined ? null : Number(digits);
  if (whole === undefined || (port !== null && (port < 1 || port > 65_535))) return null;
  const host = address6 === undefined ? parseHost(name ?? "") : parseAddress6(address6);
  return host && { ...host, port };
}

function parseHost(text: string): Host | null {
  const host = text.toLowerCase().replace(/\.$/, "");
  if (host.length > 253) return null;
  const lastLabel = host.slice(host.lastIndexOf(".") + 1);
  if (/^(\d+|0x[0-9a-f]*)$/.test(lastLabel)) return isPlainAddress4(host) ? { host, isAddress: true } : null;
  return nameOfTwoLabels.test(host) ? { host, isAddress: false } : null;
}

/** Four decimal numbers without leading zeros, which some readers take for octal. */
const isPlainAddress4 = (host: string) =>
  ipaddr.IPv4.isValidFourPartDecimal(host) && ipaddr.IPv4.parse(host).toString() === host;

function parseAddress6(text: string): Host | null {
  return ipaddr.IPv6.isValid(text) ? { host: ipaddr.IPv6.parse(text).toString(), isAddress: true } : null;
}

function covers(rule: HostRule, target: Target): boolean {
  if (rule.port === null ? !webPorts.includes(target.port) : rule.port !== target.port) return false;
  return rule.isWildcard ? !target.isAddress && target.host.endsWith(`.${rule.host}`) : target.host === rule.host;
}
