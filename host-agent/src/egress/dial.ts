/** Reaching a target, safe from DNS rebinding: resolve once, keep the public addresses, connect to one of those and no other. */
import { Resolver } from "node:dns/promises";
import net from "node:net";
import type { Socket } from "node:net";
import { readdirSync, statSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { withDeadline } from "@berth/shared/wait";
import { isInRange, isOpened, isPublicAddress, normalizeAddress, refusalOf, whyNone } from "./policy.ts";
import type { EgressMode, HostRule, PrivateRule, Target } from "./policy.ts";

export type Failure =
  | { ok: false; kind: "refused"; reason: string }
  | { ok: false; kind: "malformed" | "unresolved" | "unreachable" | "too many" };
export type Reached = { ok: true; socket: Socket } | Failure;

/** What is needed to reach a target. */
export interface Dialer {
  mode: EgressMode;
  rules: HostRule[];
  privateRules: PrivateRule[];
  lookup: (host: string) => Promise<string[]>;
  connect: (address: string, port: number) => Socket;
  ownAddresses: () => string[];
  /** Networks of other containers, as CIDR. */
  innerNetworks: () => string[];
  limits: { lookupMs: number; connectMs: number };
}
const maxAddresses = 4;

/** Resolves once, checks what came out, and tries those addresses in turn. */
export async function dial(dialer: Dialer, target: Target, signal: AbortSignal): Promise<Reached> {
  const reason = refusalOf(dialer.mode, dialer.rules, target);
  if (reason) return { ok: false, kind: "refused", reason };
  const found = target.isAddress ? [target.host] : await resolve(dialer, target.host);
  if (found.length === 0) return { ok: false, kind: "unresolved" };
  const others = withoutOwn(dialer, found);
  // What is this machine's own cannot be told now, for want of descriptors.
  if (others === null) return { ok: false, kind: "unreachable" };
  const isPermitted = (address: string) => isPublicAddress(address) || isOpened(dialer.privateRules, target, address);
  const addresses = others.filter(isPermitted).slice(0, maxAddresses);
  if (addresses.length === 0) return { ok: false, kind: "refused", reason: whyNone(others) };
  const attemptMs = dialer.limits.connectMs / addresses.length;
  for (const address of addresses) {
    const socket = await attempt(dialer.connect(address, target.port), attemptMs, signal);
    if (socket) return { ok: true, socket };
    if (signal.aborted) break;
  }
  return { ok: false, kind: "unreachable" };
}

/** Neither this machine nor a container on it; null where these cannot be listed. */
function withoutOwn({ ownAddresses, innerNetworks }: Dialer, found: string[]): string[] | null {
  try {
    const own = new Set(ownAddresses().map(normalizeAddress));
    const inner = innerNetworks();
    const isInner = (address: string) => inner.some((network) => isInRange(address, network));
    return found.filter((address) => !own.has(normalizeAddress(address)) && !isInner(address));
  } catch {
    return null;
  }
}

/** Under a deadline: no address at all when the name does not resolve in time. */
async function resolve({ lookup, limits }: Dialer, host: string): Promise<string[]> {
  return withDeadline(
    limits.lookupMs,
    () => lookup(host),
    () => new Error("no answer in time"),
  ).catch(() => []);
}

function attempt(socket: Socket, timeoutMs: number, signal: AbortSignal): Promise<Socket | null> {
  return new Promise((settle) => {
    const done = (isConnected: boolean) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", fail);
      if (!isConnected) socket.destroy();
      settle(isConnected ? socket : null);
    };
    const fail = () => done(false);
    const timer = setTimeout(fail, timeoutMs);
    signal.addEventListener("abort", fail);
    socket.on("error", fail).once("connect", () => done(true));
    if (signal.aborted) fail();
  });
}

/**
 * All addresses of a name by DNS, IPv4 first. Not by the system's resolver, whose few threads a workspace could keep
 * busy with slow names while the whole host waits.
 */
export async function lookupAll(host: string): Promise<string[]> {
  const resolver = new Resolver({ timeout: 2500, tries: 2 });
  const found = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
  return found.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
}

export const beginConnection = (host: string, port: number): Socket => net.connect({ host, port, allowHalfOpen: true });

export const listOwnAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));

/** The networks of bridges without a card: what is behind them is on this machine alone, as an engine's containers are. */
export function listInnerNetworks(): string[] {
  const isInner = (name: string) => {
    const ports = `/sys/class/net/${name}/brif`;
    const isThere = (path: string) => statSync(path, { throwIfNoEntry: false }) !== undefined;
    return isThere(ports) && readdirSync(ports).every((port) => !isThere(`/sys/class/net/${port}/device`));
  };
  return Object.entries(networkInterfaces()).flatMap(([name, list]) =>
    isInner(name) ? (list ?? []).flatMap(({ cidr }) => cidr ?? []) : [],
  );
}
