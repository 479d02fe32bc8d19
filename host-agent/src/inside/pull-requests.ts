/** The branch that an agent's repository is on, asked of git in its container as that agent; and a pull request from it. */
import { AppError } from "@berth/shared/errors";
import type { PullRequest, PullRequestBody } from "@berth/shared/credentials/credentials";
import { randomText } from "@berth/shared/ids";
import { readOutput } from "../machine/exec-output.ts";
import { type Branch, type ForgeDeps, openPullRequest, readRemote } from "../origins/forges.ts";
import { transferGid } from "../store/uids.ts";
import { environmentOf, homeOf, placeOf, toLines } from "../workspace/environment.ts";
import { endStarted, enter, type EntryDeps, startAttached } from "./entry.ts";

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
  const marker = `BERTH_TRANSFER=${randomText(20)}`;
  const { GIT_CONFIG_SYSTEM } = environmentOf(deps.context.settings, agent);
  const env = toLines({ HOME: homeOf(agent), PATH: "/usr/bin:/bin", GIT_CONFIG_SYSTEM: GIT_CONFIG_SYSTEM! });
  const command = ["/bin/sh", "-c", script, "sh", placeOf({ id, directory })];
  const spec = { command, uid: agent.uid, gid: transferGid, workingDir: "/", attach: "streams" as const };
  const { execId, stream } = await startAttached(deps, entry, { ...spec, env: [...env, marker] });
  let said = "";
  try {
    for await (const piece of readOutput(stream, "done")) {
      said += piece.toString();
      if (said.length > outputMaxBytes) break;
    }
  } catch {
    said = "";
  } finally {
    stream.destroy();
    await endStarted(deps, { ...entry, execId, gid: transferGid, marker }, 0);
  }
  const [name = "", url = ""] = said.split("\n");
  const remote = readRemote(url);
  if (remote && /^[^\s~^:?*[\\\p{Cc}]{1,250}$/u.test(name)) return { ...remote, name };
  throw new AppError(
    "conflict",
    "The agent's directory is no git repository that is on a branch and has a remote origin by https: check one out first.",
  );
}
