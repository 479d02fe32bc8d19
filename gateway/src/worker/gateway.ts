/** The app with what a Worker's bindings give it: D1, the signing key, settings, the dashboard's files. */
import { createLog } from "@berth/shared/log";
import { parseSettings, SettingsError, type Settings } from "@berth/shared/settings";
import { waitUntil } from "cloudflare:workers";
import type { Hono } from "hono";
import type { JWK } from "jose";
import { createApp } from "../app.ts";
import type { AppEnv, Deps } from "../deps.ts";
import { webDigests } from "../keys/digests.ts";
import { importKeyring, type Keyring } from "../keys/keyring.ts";
import { openD1, type D1 } from "./data.ts";

/** The bindings of `wrangler.toml`; every other one that starts with `BERTH_` is a setting. */
export interface Env {
  DB: D1;
  ASSETS?: { fetch(request: Request): Promise<Response> };
  /** A private JWK, or a JWK set of them: the first signs, all verify. */
  BERTH_SIGNING_KEY?: string;
  [name: string]: unknown;
}

export interface Gateway {
  app: Hono<AppEnv>;
  deps: Deps;
  /** When a report had the due work done last, in milliseconds since 1970. */
  tickedAt: number;
}

/** Six connections may wait for headers in one call of a Worker: more would wait in a queue, with their deadlines running. */
const starts = { hosts: 1, usersOfHost: 2, users: 40 };

export const workerLog = createLog((line) => console.log(line));

/** An isolate keeps what it has built for as long as it lives; two first calls at once build two, and the later stays. */
const opened = new WeakMap<Env, Gateway>();

/** The gateway of these bindings. Throws a SettingsError for a bad setting or key. */
export async function openGateway(env: Env, own: Partial<Pick<Deps, "now" | "log">> = {}): Promise<Gateway> {
  const known = opened.get(env);
  if (known) return known;
  const settings = readSettings(env);
  const deps: Deps = {
    settings,
    ...openD1(env.DB),
    keyring: await readKeyring(env.BERTH_SIGNING_KEY),
    digests: webDigests,
    transport: { fetch: (request) => fetch(request, { redirect: "manual" }) },
    log: workerLog,
    now: Date.now,
    uses: new Map(),
    starts,
    background: waitUntil,
    assets: env.ASSETS && ((request) => readAsset(env.ASSETS!, request)),
    ...own,
  };
  const gateway = { app: createApp(deps), deps, tickedAt: 0 };
  opened.set(env, gateway);
  return gateway;
}

function readSettings({ BERTH_SIGNING_KEY: _secret, ...env }: Env): Settings {
  const given = Object.entries(env).filter(([name]) => name.startsWith("BERTH_"));
  const settings = Object.fromEntries(given.map(([name, value]) => [name, textOf(name, value)]));
  if (!settings["BERTH_PUBLIC_URL"])
    throw new SettingsError("BERTH_PUBLIC_URL must be set: the address of this Worker.");
  return parseSettings(settings);
}

/** In `[vars]` a number stands as well without quotes. */
function textOf(name: string, value: unknown): string {
  if (["string", "number", "boolean"].includes(typeof value)) return String(value);
  throw new SettingsError(`${name} must be a text: put it in quotes.`);
}

async function readKeyring(text = ""): Promise<Keyring> {
  try {
    const parsed = JSON.parse(text) as JWK | { keys: JWK[] };
    return await importKeyring("keys" in parsed ? parsed.keys : [parsed]);
  } catch {
    throw new SettingsError("The secret BERTH_SIGNING_KEY must be a private Ed25519 JWK, or a set of them.");
  }
}

async function readAsset(assets: NonNullable<Env["ASSETS"]>, request: Request): Promise<Response | null> {
  const response = await assets.fetch(request);
  if (response.ok || response.status === 304) return response;
  await response.body?.cancel();
  return null;
}
