import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { inMemory } from "../../test/memory.ts";
import { Store } from "../store/store.ts";
import { createGitIdentities, gitConfig } from "./git-identities.ts";

test("of writes at once, as by a first run and an upload beside it, none fails and the newest holds", async () => {
  const dir = mkdtempSync(join(tmpdir(), "berth-git-"));
  const store = new Store(inMemory(), Date.now);
  const identities = createGitIdentities(store, () => []);
  const told = (name: string) => ({ sub: "usr_u", tid: null, texp: 0, git: { name, email: "a@example.com" } });
  await Promise.all([
    identities.write("usr_u", dir),
    identities.write("usr_u", dir),
    identities.note(told("Ada"), dir),
    identities.write("usr_u", dir),
    identities.note(told("Ada Lovelace"), dir),
  ]);
  expect(readFileSync(join(dir, gitConfig), "utf8")).toContain('name = "Ada Lovelace"');
  store.close();
  rmSync(dir, { recursive: true });
});
