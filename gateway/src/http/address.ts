/** Where a call comes from: the connection's address, or what trusted proxies say of it. Knows headers and settings alone. */
import type { Settings } from "@berth/shared/settings";
import type { Context } from "hono";
import type { AppEnv } from "../deps.ts";

const address = /^[0-9a-fA-F:.]{2,45}$/;

/**
 * The client's address, null where the runtime gives none. With `BERTH_TRUST_PROXY` = n, each of the n nearest senders
 * is a proxy whose addition to `x-forwarded-for` is believed; what stands further left anybody may have written.
 */
export function clientAddress({ BERTH_TRUST_PROXY: proxies }: Settings, c: Context<AppEnv>): string | null {
  const nearest = c.env?.address ?? null;
  if (proxies === 0 || nearest === null) return nearest && plainAddress(nearest);
  const told = (c.req.header("x-forwarded-for") ?? "").split(",").map((item) => item.trim());
  const chain = [...told.filter(Boolean), nearest];
  const claimed = chain.at(-1 - proxies) ?? chain[0]!;
  return plainAddress(address.test(claimed) ? claimed : nearest);
}

/** What is counted as one client: an IPv4 address, or the 64 bits of an IPv6 network. */
export function networkOf(client: string): string {
  if (!client.includes(":")) return client;
  const [head = "", tail = ""] = client.split("::");
  const left = head.split(":").filter(Boolean);
  const right = tail.split(":").filter(Boolean);
  const zeros = client.includes("::") ? Array<string>(Math.max(0, 8 - left.length - right.length)).fill("0") : [];
  const groups = [...left, ...zeros, ...right].slice(0, 4);
  return `${groups.map((group) => group.toLowerCase().replace(/^0+(?=.)/, "")).join(":")}::/64`;
}

/** An IPv4 address that arrived on an IPv6 socket is written as IPv4; the port that some proxies add is left out. */
function plainAddress(text: string): string {
  return text.replace(/^::ffff:(?=\d+\.)/i, "").replace(/^([\d.]+):\d+$/, "$1");
}
