/**
 * Who each user is to git and where the hosts are for which it has a credential, in the lowest of its configurations, so that a
 * repository's and the agent's own win. The identity is kept as the gateway told it last: a run that a webhook starts comes without.
 */
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { HostClaims } from "@berth/shared/host-api";
import { isGitPart } from "@berth/shared/users";
import { createLocks } from "../context/wait.ts";
import { ifMissing } from "../machine/missing.ts";
import type { Store } from "../store/store.ts";

type Identity = NonNullable<HostClaims["git"]>;

/** Its name in the user's directory of sockets, which workspaces see and cannot write to. */
export const gitConfig = "gitconfig";
const unknown: Identity = { name: "agent", email: "agent@berth.invalid" };

/** What people write, and the origin that it leads to. */
export interface Rewrite {
  origin: string;
  written: string[];
}

export function createGitIdentities(store: Store, rewritesOf: (userId: string) => Rewrite[]) {
  const keyOf = (userId: string) => `git:${userId}`;
  const locked = createLocks();

  function textOf(userId: string): string {
    const known = store.getMeta(keyOf(userId));
    const { name, email } = known === undefined ? unknown : (JSON.parse(known) as Identity);
    const identity = `[user]\n\tname = ${quote(partOf(name, unknown.name))}\n\temail = ${quote(partOf(email, unknown.email))}\n`;
    // Of two rewrites of the same words the first one counts: before the image's own, which make https of ssh. Of a push those of pushes count alone
    // where one fits: a line that people have in ~/.gitconfig makes ssh of https so.
    const rewrites = rewritesOf(userId).map(
      ({ origin, written }) =>
        `[url ${quote(origin)}]\n${written.map((start) => `\tinsteadOf = ${quote(start)}\n\tpushInsteadOf = ${quote(start)}\n`).join("")}`,
    );
    // What LFS is told to fetch where git goes is reached as git reaches it.
    if (rewrites.length > 0) rewrites.push('[lfs "transfer"]\n\tenablehrefrewrite = true\n');
    return `${rewrites.join("")}[include]\n\tpath = /etc/gitconfig\n${identity}`;
  }

  return {
    /** Writes the user's into this directory; the image's own configuration stays below it. Of calls at once the last one holds. */
    write: (userId: string, directory: string): Promise<void> =>
      locked(userId, async () => {
        const fresh = join(directory, `.${gitConfig}.${process.pid}`);
        await writeFile(fresh, textOf(userId), { mode: 0o644 });
        await rename(fresh, join(directory, gitConfig));
      }),
    /** Takes what a call says; a workspace that is there sees it from its next command on. */
    async note({ sub, git }: HostClaims, directory: string): Promise<void> {
      const told = git && JSON.stringify(git);
      if (!told || store.getMeta(keyOf(sub)) === told) return;
      store.setMeta(keyOf(sub), told);
      await this.write(sub, directory).catch(ifMissing(undefined));
    },
  };
}

/** One line, as git takes it: what is a control character or punctuation alone would keep it from commits, or from starting. */
function partOf(text: string, otherwise: string): string {
  const line = text.replaceAll(/[\p{Cc}<>]+/gu, " ").trim();
  return isGitPart(line) ? line : otherwise;
}

const quote = (text: string) => `"${text.replaceAll(/[\\"]/g, String.raw`\$&`)}"`;
