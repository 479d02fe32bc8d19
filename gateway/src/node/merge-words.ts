/**
 * The index of words is merged in small steps, each in a turn of the event loop and a commit of its own. FTS5 left to itself merges in
 * whichever commit comes when that is due: 64 pages for each level, some 100 ms. A step takes at least one word with all its runs,
 * which no setting bounds.
 */
import type { Database as SqliteFile } from "better-sqlite3";
import { sql } from "drizzle-orm";
import type { Atomic } from "../data/database.ts";

const stepPages = 16;
const stepsATurn = 64;
/** Of what lies in a part of the index so much is deleted before that is written anew: a tenth would have the largest written again and again. */
const deletedPercent = 50;

/** Has commits merge nothing; the file remembers it. */
export function keepMergesApart(file: SqliteFile): void {
  const wanted = { automerge: 0, deletemerge: deletedPercent };
  const known = file.prepare("select v from run_words_config where k = ?").pluck();
  for (const [name, value] of Object.entries(wanted))
    if (known.get(name) !== value) file.exec(`insert into run_words (run_words, rank) values ('${name}', ${value})`);
}

/** What comes back does what is due, up to a number of steps; one turn at a time. */
export function createWordMerger(atomic: Atomic): () => Promise<void> {
  const changes = sql`select total_changes() as count`;
  // A number that is bound is no integer to FTS5.
  const merge = sql`insert into run_words (run_words, rank) values ('merge', ${sql.raw(String(stepPages))})`;
  const step = async () => {
    const [before, , after] = await atomic([changes, merge, changes], "copy");
    // The command itself is a change.
    return (after![0]!["count"] as number) - (before![0]!["count"] as number) > 1;
  };
  let isMerging = false;
  return async () => {
    if (isMerging) return;
    isMerging = true;
    try {
      for (let steps = stepsATurn; steps > 0 && (await step()); steps--);
    } finally {
      isMerging = false;
    }
  };
}
