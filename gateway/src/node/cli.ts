/** The gateway's commands: token, link, delete-user, join-token, rotate-key. They open the data directory themselves, so they work whether the gateway runs or not. */
import { createLog, messageOf } from "@berth/shared/log";
import { parseSettings, SettingsError, type Settings } from "@berth/shared/settings";
import { userName, type User } from "@berth/shared/users";
import { parseArgs } from "node:util";
import { eq } from "drizzle-orm";
import { deleteUser } from "../agents/delete-user.ts";
import { users } from "../data/schema.ts";
import { createJoinToken } from "../fleet/join.ts";
import { openData, type Data } from "./data.ts";
import { retireKeys, rotateKey } from "./rotation.ts";
import { createSignInLink, linkMs } from "../access/sign-in.ts";
import { issueToken } from "../access/tokens.ts";
import { ensureUser } from "../access/users.ts";
import { systemActor } from "../http/caller.ts";

const usage =
  "Usage: token USER [--admin] [--ttl 12h] | link USER [--admin] | delete-user USER [--may-return] | join-token | rotate-key [--retire] (a time is a number with s, m, h or d).";
const source = { actor: { ...systemActor, name: "command line" }, address: null };
const maxSeconds = 366 * 24 * 3600;

export async function main(): Promise<void> {
  try {
    process.stdout.write(`${await runCommand(process.argv.slice(2), parseSettings(process.env))}\n`);
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exitCode = error instanceof SettingsError ? 2 : 1;
  }
}

async function runCommand(args: string[], settings: Settings): Promise<string> {
  const { command, user: name, admin, retire, mayReturn, seconds } = readArguments(args);
  const data = await openData(settings);
  try {
    if (command === "rotate-key") return await changeKeys(settings, data, retire);
    if (command === "join-token") return (await createJoinToken({ ...data, now: Date.now }, source)).token;
    if (command === "delete-user") return await removeUser(data, name, mayReturn);
    const user = await ensureUser({ ...data, now: Date.now }, source, name, admin);
    if (user.disabled) throw new SettingsError("This user is disabled; enable it first.");
    return command === "token"
      ? await printToken(data, settings, user, seconds)
      : await printLink(data, settings, user);
  } finally {
    data.close();
  }
}

function readArguments(args: string[]) {
  const { values, positionals } = parseOrExplain(args);
  const [command = "", user, ...rest] = positionals;
  const ofUser = ["token", "link", "delete-user"].includes(command);
  if ((!ofUser && !["join-token", "rotate-key"].includes(command)) || rest.length > 0) throw new SettingsError(usage);
  const name = userName.safeParse(user ?? "");
  if (ofUser ? !name.success : user !== undefined) throw new SettingsError(usage);
  const { admin = false, retire = false, "may-return": mayReturn = false, ttl = "12h" } = values;
  return { command, user: name.data ?? "", admin, retire, mayReturn, seconds: parseSeconds(ttl) };
}

function parseOrExplain(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        admin: { type: "boolean" },
        retire: { type: "boolean" },
        "may-return": { type: "boolean" },
        ttl: { type: "string" },
      },
    });
  } catch {
    throw new SettingsError(usage);
  }
}

function parseSeconds(ttl: string): number {
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(ttl) ?? [];
  const seconds = Number(count) * { s: 1, m: 60, h: 3600, d: 86_400 }[unit as "s" | "m" | "h" | "d"];
  if (seconds >= 1 && seconds <= maxSeconds) return seconds;
  throw new SettingsError("--ttl must be like 30s, 15m, 12h or 7d, at most 366d.");
}

async function changeKeys(settings: Settings, data: Data, isRetiring: boolean): Promise<string> {
  if (!isRetiring) {
    const kid = await rotateKey(settings, data);
    return `The key ${kid} signs from now on. What earlier keys have signed stays good; "rotate-key --retire" ends it.`;
  }
  const count = await retireKeys(settings, data);
  return count === 0
    ? "There is one key, and nothing to retire."
    : `${count} earlier ${count === 1 ? "key has" : "keys have"} ended: whoever holds a session or an API token that one of them signed signs in anew.`;
}

async function removeUser(data: Data, name: string, mayReturn: boolean): Promise<string> {
  const [user] = await data.db.select({ id: users.id }).from(users).where(eq(users.name, name));
  if (!user) throw new SettingsError(`There is no user ${name}.`);
  const deps = { ...data, now: Date.now, log: createLog(() => {}) };
  await deleteUser(deps, source, user.id, { confirm: name, mayReturn });
  return `The user ${name} is deleted, with all that is theirs: here at once, on their host within seconds or once it is back.`;
}

async function printToken(data: Data, settings: Settings, user: User, seconds: number): Promise<string> {
  const wanted = { userId: user.id, kind: "api", name: "command line", seconds } as const;
  const entry = { ...source, action: "token.created", detail: { user: user.name } } as const;
  return (await issueToken({ ...data, settings, now: Date.now }, entry, wanted)).token;
}

async function printLink(data: Data, settings: Settings, { id }: User): Promise<string> {
  return (await createSignInLink({ ...data, settings, now: Date.now }, source, id, linkMs.printed)).url;
}

if (import.meta.main) await main();
