/** The branch that an agent's repository is on, asked of git in its container as that agent; and a pull request from it. */
import { AppError } from "@berth/shared/errors";
import type { PullRequest, PullRequestBody } from "@berth/shared/credentials/credentials";
import { type Branch, type ForgeDeps, openPullRequest, readRemote } from "../origins/forges.ts";
import { environmentOf, placeOf } from "../workspace/environment.ts";
import { enter, type EntryDeps } from "./entry.ts";
import { runProgram } from "./program.ts";

/** Whatever the repository's own configuration makes of it: it is over by then, and its output is short. */
const script =
  'cd "$1" && exec timeout -k 1 15 sh -c "git symbolic-ref --quiet --short HEAD && git remote get-url --push origin; printf done >&2"';
const outputMaxBytes = 8192;

export async function pullRequestOf(
  deps: EntryDeps & { forge: ForgeDeps },
  userId: string,
  agent: { id: string; directory: string | null },
  body: PullRequestBody,
): Promise<PullRequest> {
  return openPullRequest(deps.forge, userId, await readBranch(deps, userId, agent), body);
}

/** Throws `conflict` where the directory is not on a branch of a repository at a forge. What is said may be forged: it names a place alone. */
async function readBranch(
  deps: EntryDeps,
  userId: string,
  { id, directory }: { id: string; directory: string | null },
): Promise<Branch> {
  const entry = await enter(deps, userId, id);
  const { agent } = entry;
  const { GIT_CONFIG_SYSTEM } = environmentOf(deps.context.settings, agent);
  const command = ["/bin/sh", "-c", script, "sh", placeOf({ id, directory })];
  const env = { GIT_CONFIG_SYSTEM: GIT_CONFIG_SYSTEM! };
  const { said, isWhole } = await runProgram(deps, entry, { command, env, maxBytes: outputMaxBytes });
  const [name = "", url = ""] = isWhole ? said.toString().split("\n") : [];
  const remote = readRemote(url);
  if (remote && /^[^\s~^:?*[\\\p{Cc}]{1,250}$/u.test(name)) return { ...remote, name };
  throw new AppError(
    "conflict",
    "The agent's directory is no git repository that is on a branch and has a remote origin by https: check one out first.",
  );
}
