/** Users: who there is, what role they have, whether they may call. */
import { AppError } from "@berth/shared/errors";
import { newId } from "@berth/shared/ids";
import { id, plainText, time } from "@berth/shared/resources";
import { and, asc, eq, not, or, sql } from "drizzle-orm";
import { z } from "zod";
import { isoTime, isUniqueViolation, type Database } from "./database.ts";
import { afterCursor, toPage, type Page, type PageQuery } from "./page.ts";
import { users } from "./schema.ts";

export const userRole = z.enum(["user", "admin"]);
export const userSchema = z.object({ id, name: z.string(), role: userRole, disabled: z.boolean(), createdAt: time });
export type User = z.infer<typeof userSchema>;
type Role = User["role"];

export const userName = plainText.pipe(z.string().trim().min(1).max(64));
export const createUserBody = z.strictObject({ name: userName, role: userRole.default("user") });
export const updateUserBody = z.strictObject({ disabled: z.boolean().optional(), role: userRole.optional() });

const shown = {
  id: users.id,
  name: users.name,
  role: users.role,
  disabled: users.disabled,
  createdAt: users.createdAt,
};

/** Adds a user. Throws `conflict` when the name is taken. */
export async function createUser(db: Database, now: number, name: string, role: Role): Promise<User> {
  try {
    const row = { id: newId("usr"), name, role, disabled: false, createdAt: isoTime(now) };
    await db.insert(users).values(row);
    return row;
  } catch (error) {
    if (isUniqueViolation(error)) throw new AppError("conflict", "A user of this name exists already.");
    throw error;
  }
}

/** The user of this name, made if new; made an admin when `admin` is set. */
export async function ensureUser(db: Database, now: number, name: string, admin: boolean): Promise<User> {
  const row = { id: newId("usr"), name, role: admin ? ("admin" as const) : ("user" as const), createdAt: isoTime(now) };
  const [user] = await db
    .insert(users)
    .values(row)
    .onConflictDoUpdate({ target: users.name, set: admin ? { role: "admin" } : { name } })
    .returning(shown);
  return user!;
}

export async function listUsers(db: Database, query: PageQuery): Promise<Page<User>> {
  const rows = await db
    .select(shown)
    .from(users)
    .where(afterCursor(query, users.createdAt, users.id, "oldest first"))
    .orderBy(asc(users.createdAt), asc(users.id))
    .limit(query.limit + 1);
  return toPage(rows, query.limit, (row) => row);
}

export async function findUser(db: Database, userId: string): Promise<User | undefined> {
  const [user] = await db.select(shown).from(users).where(eq(users.id, userId));
  return user;
}

/** Changes role or access; never takes the last active admin away (`conflict`). */
export async function updateUser(db: Database, userId: string, change: z.infer<typeof updateUserBody>): Promise<User> {
  const current = await findUser(db, userId);
  if (!current) throw new AppError("not_found", "There is no such user.");
  if (change.role === undefined && change.disabled === undefined) return current;
  const staysAdmin = change.role !== "user" && change.disabled !== true;
  const anotherAdmin = sql`exists (select 1 from users o where o.id <> ${userId} and o.role = 'admin' and not o.disabled)`;
  const isActiveAdmin = and(eq(users.role, "admin"), eq(users.disabled, false));
  const [user] = await db
    .update(users)
    .set(change)
    .where(and(eq(users.id, userId), staysAdmin ? undefined : or(not(isActiveAdmin!), anotherAdmin)))
    .returning(shown);
  if (!user) throw new AppError("conflict", "The last active admin cannot be disabled or demoted.");
  return user;
}
