/** The schedules that were broken once, each as small as it could be made: the suite plays them first. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import type { Failure } from "./campaign.ts";

/** With its operations themselves, so that it stays what it is when others are drawn from the same seed. */
type Kept = Pick<Failure, "world" | "seed" | "operations"> & { invariant?: string };

const file = new URL("../corpus.json", import.meta.url);

export const readCorpus = (): Kept[] => JSON.parse(readFileSync(file, "utf8")) as Kept[];

/** Adds it, unless the same seed of that world is there. */
export function keep({ world, seed, invariant, operations }: Failure): void {
  const corpus = readCorpus();
  if (corpus.some((other) => other.world === world && other.seed === seed)) return;
  const draft = new URL(`../corpus.json.${process.ppid}`, import.meta.url);
  writeFileSync(draft, `${JSON.stringify([...corpus, { world, seed, invariant, operations }], null, 2)}\n`);
  renameSync(draft, file);
}
