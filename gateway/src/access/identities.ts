/** Users whom the OpenID provider vouches for: found by issuer and subject alone, never by a name or an address. */
import { randomText, newId } from "@berth/shared/ids";
import { userName } from "@berth/shared/users";
import { and, eq, sql } from "drizzle-orm";
import { isoTime, isUniqueViolation } from "../data/database.ts";
import type { Deps } from "../deps.ts";
import type { Profile } from "./provider/token.ts";
import { identities, refusedIdentities, users } from "../data/schema.ts";
import { unauthenticated } from "../keys/jwt.ts";
import { findUserRow, insertUser, promote, userColumns, type UserRow } from "./users.ts";
import { systemActor, type AuditSource } from "../http/caller.ts";

/**
 * The user of this identity, made on first sight, made an admin where the settings name them. Never lowers a role and never
 * enables anybody. The caller looks at `disabled`. Throws `unauthenticated` for whom an admin has deleted.
 */
export async function ensureIdentity(deps: Deps, address: string | null, profile: Profile): Promise<UserRow> {
  const isAdmin = isNamedAdmin(deps.settings.BERTH_OIDC_ADMINS, profile);
  const source = { actor: { ...systemActor, name: "sign-in" }, address };
  const known = await findIdentity(deps, profile);
  if (!known && (await isRefused(deps, profile))) throw unauthenticated();
  const user = known ?? (await addIdentity(deps, source, profile, isAdmin));
  if (!isAdmin || user.role === "admin" || user.disabled) return user;
  return { ...user, ...(await promote(deps, source, user, { by: "BERTH_OIDC_ADMINS" })) };
}

/**
 * Whether an entry names this person: by the subject, by the verified address (any case), or, without an @, by the
 * user name.
 */
function isNamedAdmin(entries: string[], { subject, username, email, isEmailVerified }: Profile): boolean {
  return entries.some((entry) => {
    if (entry === subject) return true;
    if (entry.includes("@")) return isEmailVerified && email?.toLowerCase() === entry.toLowerCase();
    return entry === username;
  });
}

async function findIdentity({ db }: Deps, { issuer, subject }: Profile): Promise<UserRow | undefined> {
  const [user] = await db
    .select(userColumns)
    .from(identities)
    .innerJoin(users, eq(users.id, identities.userId))
    .where(and(eq(identities.issuer, issuer), eq(identities.subject, subject)));
  return user;
}

async function isRefused({ db }: Deps, { issuer, subject }: Profile): Promise<boolean> {
  const which = and(eq(refusedIdentities.issuer, issuer), eq(refusedIdentities.subject, subject));
  return (await db.select({ userId: refusedIdentities.userId }).from(refusedIdentities).where(which)).length > 0;
}

/** A name that is taken gets a number: an identity never takes over a user who was there before. */
async function addIdentity(deps: Deps, source: AuditSource, profile: Profile, isAdmin: boolean): Promise<UserRow> {
  const createdAt = isoTime(deps.now());
  for (const name of namesFor(profile)) {
    const row = { id: newId("usr"), name, role: isAdmin ? ("admin" as const) : ("user" as const), createdAt };
    try {
      await deps.atomic([
        ...insertUser(deps.now(), source, row),
        sql`insert into identities (issuer, subject, user_id, created_at)
          values (${profile.issuer}, ${profile.subject}, ${row.id}, ${createdAt})`,
      ]);
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      const raced = await findIdentity(deps, profile);
      if (raced) return raced;
      continue;
    }
    return (await findUserRow(deps.db, row.id))!;
  }
  throw new Error("no free name for a new user");
}

/** Names to try. `admin` stays free for the user of the start link, whom a stranger must not become. */
function* namesFor({ username, email, name, subject }: Profile): Generator<string> {
  const candidates = [username, email, name, subject].map((text) => userName.safeParse(text?.slice(0, 64)).data);
  const base = candidates.find((candidate) => candidate !== undefined) ?? "user";
  const short = base.slice(0, 50).trim();
  if (base.toLowerCase() !== "admin") yield base;
  for (let number = 2; number < 10; number++) yield `${short} ${number}`;
  for (let count = 0; count < 3; count++) yield `${short} ${randomText(6)}`;
}
