import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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

test.each(["https://forge.example/", "git://forge.example/"])(
  "a push goes by the origin too where ~/.gitconfig makes ssh of what is pushed to %s",
  async (written) => {
    const dir = mkdtempSync(join(tmpdir(), "berth-git-"));
    const store = new Store(inMemory(), Date.now);
    const origin = "http://forge.example.git.berth.internal/";
    const rewrites = [{ origin, written: ["https://forge.example/", "git@forge.example:", "git://forge.example/"] }];
    await createGitIdentities(store, () => rewrites).write("usr_u", dir);
    writeFileSync(join(dir, ".gitconfig"), `[url "git@forge.example:"]\n\tpushInsteadOf = ${written}\n`);
    const env = { PATH: process.env["PATH"], HOME: dir, GIT_CONFIG_SYSTEM: join(dir, gitConfig) };
    const git = (...args: string[]) => execFileSync("git", args, { cwd: dir, env, encoding: "utf8" });
    git("init", "-q");
    git("remote", "add", "origin", `${written}team/app.git`);
    for (const which of [["--push"], []])
      expect(git("remote", "get-url", ...which, "origin")).toBe(`${origin}team/app.git\n`);
    store.close();
    rmSync(dir, { recursive: true });
  },
);

test.each([
  ["Ada", "Ada"],
  ["Ada\nLovelace", "Ada Lovelace"],
  ['Ada "A" \\ 앨리스\u0007', 'Ada "A" \\ 앨리스'],
  ["<Ada>", "Ada"],
  ["...", "agent"],
  ["\u0001", "agent"],
])("whatever a user is called, git starts and commits: %j", async (name, author) => {
  const dir = mkdtempSync(join(tmpdir(), "berth-git-"));
  const store = new Store(inMemory(), Date.now);
  const identities = createGitIdentities(store, () => []);
  await identities.write("usr_u", dir);
  await identities.note({ sub: "usr_u", tid: null, texp: 0, git: { name, email: "a\n@example.com" } }, dir);
  const env = { PATH: process.env["PATH"], HOME: dir, GIT_CONFIG_SYSTEM: join(dir, gitConfig) };
  const git = (...args: string[]) => execFileSync("git", args, { cwd: dir, env, encoding: "utf8" });
  git("init", "-q");
  git("commit", "-q", "--allow-empty", "-m", "x");
  expect(git("log", "-1", "--format=%an")).toBe(`${author}\n`);
  store.close();
  rmSync(dir, { recursive: true });
});
