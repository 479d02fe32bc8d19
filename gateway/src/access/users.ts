/** Users: who there is, what role they have, whether they may call. */
import { AppError } from "@berth/shared/errors";
import { newId } from "@berth/shared/ids";
import {
  type ListedUser,
  type MeChange,
  noLimits,
  type OwnLimits,
  type User,
  type UserChange,
} from "@berth/shared/users";
import { and, asc, eq, not, or, sql, type SQL } from "drizzle-orm";
import type { AuditEntry } from "@berth/shared/audit";
import { auditChange, auditStatement, type NewAuditEntry, tellChanges } from "./audit.ts";
import { columnsOf, isoTime, isUniqueViolation, type Database } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import { afterCursor, toPage, type Page, type PageQuery } from "../http/paging.ts";
import { users } from "../data/schema.ts";
import type { AuditSource } from "../http/caller.ts";

type Role = User["role"];

const shown = columnsOf(users, "id", "name", "role", "disabled", "createdAt");
/** What every call must know of its user, as columns. */
export const userColumns = { ...shown, ...columnsOf(users, "hostId", "gitName", "gitEmail", "limits") };
export type UserRow = User & Pick<typeof users.$inferSelect, "hostId" | "gitName" | "gitEmail" | "limits">;

/** Sets what is named of who the user is to git. */
export async function updateMe(
  { db, atomic, now }: Pick<Deps, "db" | "atomic" | "now">,
  source: AuditSource,
  before: Pick<UserRow, "id" | "name" | "gitName" | "gitEmail">,
  change: MeChange,
): Promise<UserRow> {
  const { id, name } = before;
  const detail = { changed: tellChanges(before, change) };
  if (detail.changed)
    await atomic([
      db.update(users).set(change).where(eq(users.id, id)).returning({ id: users.id }).getSQL(),
      auditChange(now(), { ...source, action: "user.git_identity_set", target: { id, name }, detail }),
    ]);
  return (await findUserRow(db, id))!;
}

/** Adds a user. Throws `conflict` when the name is taken. */
export async function createUser(
  { atomic, now }: Pick<Deps, "atomic" | "now">,
  source: AuditSource,
  name: string,
  role: Role,
): Promise<User> {
  const row = { id: newId("usr"), name, role, disabled: false, createdAt: isoTime(now()) };
  try {
    await atomic(insertUser(now(), source, row));
    return row;
  } catch (error) {
    if (isUniqueViolation(error)) throw new AppError("conflict", "A user of this name exists already.");
    throw error;
  }
}

/** The statements that add a user, for an atomic batch. */
export function insertUser(
  now: number,
  source: AuditSource,
  { id, name, role, createdAt }: Omit<User, "disabled">,
  onConflict = sql``,
): SQL[] {
  return [
    sql`insert into users (id, name, role, disabled, created_at) values (${id}, ${name}, ${role}, 0, ${createdAt}) ${onConflict}`,
    auditChange(now, { ...source, action: "user.created", target: { id, name }, detail: { role } }),
  ];
}

/** The user of this name, made if new; made an admin when `admin` is set. */
export async function ensureUser(
  { db, atomic, now }: Pick<Deps, "db" | "atomic" | "now">,
  source: AuditSource,
  name: string,
  admin: boolean,
): Promise<User> {
  const row = {
    id: newId("usr"),
    name,
    role: admin ? ("admin" as const) : ("user" as const),
    createdAt: isoTime(now()),
  };
  await atomic(insertUser(now(), source, row, sql`on conflict (name) do nothing`));
  const [user] = await db.select(shown).from(users).where(eq(users.name, name));
  if (!user) throw new Error("the user was not stored");
  return admin && user.role !== "admin" ? promote({ atomic, now }, source, user) : user;
}

/** Makes the user an admin. */
export async function promote(
  { atomic, now }: Pick<Deps, "atomic" | "now">,
  source: AuditSource,
  user: User,
  detail: AuditEntry["detail"] = {},
): Promise<User> {
  const target = { id: user.id, name: user.name };
  await atomic([
    sql`update users set role = 'admin' where id = ${user.id} and role <> 'admin'`,
    auditChange(now(), { ...source, action: "user.promoted", target, detail }),
  ]);
  return { ...user, role: "admin" };
}

export async function listUsers(db: Database, query: PageQuery): Promise<Page<ListedUser>> {
  const rows = await db
    .select({ ...shown, ...columnsOf(users, "lastSignInAt", "hostId", "limits") })
    .from(users)
    .where(afterCursor(query, users.createdAt, users.id, "oldest first"))
    .orderBy(asc(users.createdAt), asc(users.id))
    .limit(query.limit + 1);
  const page = toPage(rows, query.limit, (row) => row);
  const ids = JSON.stringify(page.items.map((row) => row.id));
  const counts = await db.all<{ id: string; agents: number }>(sql`
    select user_id as id, count(*) as agents from agents
    where user_id in (select value from json_each(${ids})) and deleted_at is null group by user_id`);
  const agentsOf = new Map(counts.map(({ id, agents }) => [id, agents]));
  return {
    ...page,
    items: page.items.map((row) => ({
      ...row,
      agents: agentsOf.get(row.id) ?? 0,
      limits: { ...noLimits, ...row.limits },
    })),
  };
}

export async function findUser(db: Database, userId: string): Promise<User | undefined> {
  const [user] = await db.select(shown).from(users).where(eq(users.id, userId));
  return user;
}

/** The user with the placement; also a disabled one. */
export async function findUserRow(db: Database, userId: string): Promise<UserRow | undefined> {
  const [user] = await db.select(userColumns).from(users).where(eq(users.id, userId));
  return user;
}

/**
 * Changes role or access, by one statement that never takes the last active admin away (`conflict`). Who is disabled
 * loses all sessions and unused sign-in links for good; API tokens rest, and count again once the user is enabled.
 */
export async function updateUser(
  { db, atomic, now }: Deps,
  source: AuditSource,
  userId: string,
  { role, disabled, cancelRuns = false }: UserChange,
): Promise<User> {
  const current = await findUser(db, userId);
  if (!current) throw new AppError("not_found", "There is no such user.");
  const actions = actionsOf(current, { role, disabled });
  if (actions.length === 0 && disabled !== true) return current;
  const staysAdmin = role !== "user" && disabled !== true;
  const anotherAdmin = sql`exists (select 1 from users o where o.id <> ${userId} and o.role = 'admin' and not o.disabled)`;
  const isActiveAdmin = and(eq(users.role, "admin"), eq(users.disabled, false));
  const change = db
    .update(users)
    .set({ role, disabled, ...(disabled !== undefined && { cancelRuns }) })
    .where(and(eq(users.id, userId), staysAdmin ? undefined : or(not(isActiveAdmin!), anotherAdmin)));
  const target = { id: userId, name: current.name };
  const entries = actions.map((action) => ({
    ...source,
    action,
    target,
    ...(action === "user.disabled" && { detail: { cancelRuns } }),
  }));
  const [changed] = await atomic([
    change.returning({ id: users.id }).getSQL(),
    ...entries.map((entry) => auditChange(now(), entry)),
    // The change before it in the batch may have been refused.
    ...(disabled
      ? endSessions(userId, isoTime(now()), sql`exists (select 1 from users where id = ${userId} and disabled)`)
      : []),
  ]);
  if (changed?.length === 1) return (await findUser(db, userId))!;
  await atomic(entries.map((entry) => auditStatement(now(), { ...entry, outcome: "refused" })));
  throw new AppError("conflict", "The last active admin cannot be disabled or demoted.");
}

/** Sets what is named of the user's own limits. Throws `not_found`. */
export async function setLimits(
  { db, atomic, now }: Deps,
  source: AuditSource,
  userId: string,
  limits: OwnLimits,
): Promise<void> {
  const user = await findUserRow(db, userId);
  if (!user) throw new AppError("not_found", "There is no such user.");
  const target = { id: userId, name: user.name };
  const before = { ...noLimits, ...user.limits };
  const names = Object.keys(limits) as (keyof OwnLimits)[];
  const detail = Object.fromEntries(
    names.filter((name) => limits[name] !== before[name]).map((name) => [name, limits[name] ?? null]),
  );
  // A merge patch (RFC 7396): null removes.
  await atomic([
    sql`update users set limits = json_patch(limits, ${JSON.stringify(limits)})
      where id = ${userId} and json_patch(limits, ${JSON.stringify(limits)}) <> limits`,
    auditChange(now(), { ...source, action: "user.limits_set", target, detail }),
  ]);
}

/** Ends the user's sessions and unused links. Throws `not_found`. */
export async function signOut({ db, atomic, now }: Deps, source: AuditSource, userId: string): Promise<void> {
  const user = await findUser(db, userId);
  if (!user) throw new AppError("not_found", "There is no such user.");
  const target = { id: user.id, name: user.name };
  await atomic([
    ...endSessions(userId, isoTime(now()), sql`true`),
    auditStatement(now(), { ...source, action: "user.signed_out", target }),
  ]);
}

function actionsOf(current: User, { role, disabled }: UserChange): NewAuditEntry["action"][] {
  const actions: NewAuditEntry["action"][] = [];
  if (role !== undefined && role !== current.role) actions.push(role === "admin" ? "user.promoted" : "user.demoted");
  if (disabled !== undefined && disabled !== current.disabled)
    actions.push(disabled ? "user.disabled" : "user.enabled");
  return actions;
}

function endSessions(userId: string, time: string, mayEnd: SQL): SQL[] {
  return [
    sql`update tokens set revoked_at = ${time}
      where user_id = ${userId} and kind = 'session' and revoked_at is null and ${mayEnd}`,
    sql`update sign_in_codes set used_at = ${time} where user_id = ${userId} and used_at is null and ${mayEnd}`,
  ];
}
