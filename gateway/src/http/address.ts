/** Where a call comes from: the connection's address, or what trusted proxies say of it. Knows headers and settings alone. */
import { plainAddress } from "@berth/shared/bounds/network";
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
