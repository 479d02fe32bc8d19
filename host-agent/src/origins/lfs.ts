/**
 * What LFS's API says to git in a workspace, less what would be a credential there: some forges (GitLab) answer a batch with a token
 * that they make themselves, good for reads and writes and for longer than the user's word. Pure: opens nothing.
 */
import { parseSmall } from "@berth/shared/bounds/json-scan";

/** Of an answer, more than one to a batch of git's has: that asks for 100 objects. */
export const lfsMaxBytes = 2_097_152;
const lfsMaxValues = 20_000;
/** What git-lfs's own calls have by which an origin goes on; it puts in its own credential. */
const isOfUse = (name: string) => /^(accept|accept-language|content-type|content-length|user-agent)$/i.test(name);

/**
 * The answer written anew: what leads to this host's name has no header that would let it in, and nothing has one beside an address.
 * What leads elsewhere keeps its own: an upload to a store of objects is signed by it. Null for what is no answer in JSON, or too large.
 */
export function withoutCredentials(answer: Buffer, authority: string): Buffer | null {
  const json = parseSmall(answer, lfsMaxValues);
  return json === undefined ? null : Buffer.from(JSON.stringify(clean(json, nameOf(authority))));
}

function clean(value: unknown, host: string): unknown {
  if (Array.isArray(value)) return value.map((one) => clean(one, host));
  if (typeof value !== "object" || value === null) return value;
  const elsewhere = "href" in value && leadsElsewhere(value.href, host);
  const kept = Object.entries(value).filter(([name]) => !/^(proxy-)?authorization$/i.test(name));
  return Object.fromEntries(
    kept.map(([name, one]) => {
      if (/^headers?$/i.test(name)) return [name, elsewhere ? one : onlyOfUse(one)];
      return [name, name === "href" && !elsewhere ? withoutUser(one) : clean(one, host)];
    }),
  );
}

const onlyOfUse = (header: unknown) =>
  typeof header === "object" && header !== null && !Array.isArray(header)
    ? Object.fromEntries(Object.entries(header).filter(([name, value]) => isOfUse(name) && typeof value === "string"))
    : {};

/** An address that cannot be read leads nowhere else. */
function leadsElsewhere(href: unknown, host: string): boolean {
  const url = typeof href === "string" ? URL.parse(href) : null;
  return url !== null && url.hostname !== "" && nameOf(url.host) !== host;
}

/** What is signed into another host's address is left; in one of this host a user is a credential. */
function withoutUser(href: unknown): unknown {
  const url = typeof href === "string" ? URL.parse(href) : null;
  if (!url?.username && !url?.password) return href;
  url.username = url.password = "";
  return url.href;
}

/** Whatever the port: a token is good at each of them. */
const nameOf = (authority: string) => authority.toLowerCase().replace(/\.?(:\d*)?$/, "");
