/** The users' credentials: what each is for in clear, its value sealed. Knows neither hosts nor headers. */
import type { OpenDatabase } from "./open.ts";
import { isoTime, Statements } from "./statements.ts";

export type CredentialKind = "git" | "secret";
/** `about` is what its kind is for, and no secret. */
export interface CredentialRow<About> {
  name: string;
  about: About;
  createdAt: string;
  lastUsedAt: string | null;
}
type Flat = Omit<CredentialRow<never>, "about"> & { about: string; value: string };
export type Credentials = ReturnType<typeof createCredentials>;

/** Of one that is used again and again the use is written down this often. */
const useEveryMs = 60_000;

/** In a database that the store has migrated, and closes. */
export function createCredentials({ db: file, sealing }: OpenDatabase, now: () => number) {
  const db = new Statements({ db: file });
  const columns = "name, about, value, created_at AS createdAt, last_used_at AS lastUsedAt";
  const which = "user_id = ? AND kind = ? AND name = ?";
  const placeOf = (userId: string, kind: CredentialKind, name: string) => `credentials/${userId}/${kind}/${name}/value`;
  const describe = <About>({ value: _value, about, ...row }: Flat): CredentialRow<About> => ({
    ...row,
    about: JSON.parse(about) as About,
  });
  return {
    list<About>(userId: string, kind: CredentialKind): CredentialRow<About>[] {
      const sql = `SELECT ${columns} FROM credentials WHERE user_id = ? AND kind = ? ORDER BY name`;
      return db.rows<Flat>(sql, userId, kind).map((row) => describe<About>(row));
    },
    /** With its value; null where there is none. */
    find<About>(userId: string, kind: CredentialKind, name: string): (CredentialRow<About> & { value: string }) | null {
      const [row] = db.rows<Flat>(`SELECT ${columns} FROM credentials WHERE ${which}`, userId, kind, name);
      return row ? { ...describe<About>(row), value: sealing.open(placeOf(userId, kind, name), row.value) } : null;
    },
    put(userId: string, kind: CredentialKind, name: string, about: object, value: string): void {
      db.sql("INSERT OR REPLACE INTO credentials VALUES (?, ?, ?, ?, ?, ?, NULL)").run(
        userId,
        kind,
        name,
        JSON.stringify(about),
        sealing.seal(placeOf(userId, kind, name), value),
        isoTime(now()),
      );
    },
    /** Whether there was one. */
    remove: (userId: string, kind: CredentialKind, name: string): boolean =>
      db.sql(`DELETE FROM credentials WHERE ${which}`).run(userId, kind, name).changes > 0,
    noteUse(userId: string, kind: CredentialKind, name: string): void {
      const isStale = "(last_used_at IS NULL OR last_used_at < ?)";
      const update = `UPDATE credentials SET last_used_at = ? WHERE ${which} AND ${isStale}`;
      db.sql(update).run(isoTime(now()), userId, kind, name, isoTime(now() - useEveryMs));
    },
  };
}
