/** Cache of what was made of the database: exact, because it holds no longer than the database stays as it was. */
import type { Database } from "./database.ts";

export interface Source {
  db: Database;
  /** Names what the database holds: another after any change, whoever made it. Absent where asking costs as much as a query. */
  version?: () => string;
}

interface Kept<Answer> {
  version: string;
  answers: Map<string, Answer>;
  /** Of all of them, as JSON. */
  characters: number;
}
const mostCharacters = 2 ** 21;

/**
 * `read`, whose answer is kept by its words until anything in the database changes; without a `version` each call reads. What it
 * answers must follow from the database and its words alone, and is shared: nobody changes it.
 */
export function remember<Words extends string[], Answer>(
  read: (db: Database, ...words: Words) => Promise<Answer>,
): (source: Source, ...words: Words) => Promise<Answer> {
  const keptOf = new WeakMap<Database, Kept<Answer>>();
  return async ({ db, version }, ...words) => {
    if (!version) return read(db, ...words);
    // Asked before it is read: what changes meanwhile has a later version, under which this is not found.
    const now = version();
    let kept = keptOf.get(db);
    if (kept?.version !== now || kept.characters > mostCharacters)
      keptOf.set(db, (kept = { version: now, answers: new Map(), characters: 0 }));
    const key = words.join("\n");
    const known = kept.answers.get(key);
    if (known !== undefined) return known;
    const answer = await read(db, ...words);
    kept.characters += key.length + JSON.stringify(answer).length;
    kept.answers.set(key, answer);
    return answer;
  };
}
