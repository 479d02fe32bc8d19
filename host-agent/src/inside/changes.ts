/**
 * What the git repository in which an agent works has changed against its last commit: the list, and the change of one file.
 * Git reads it in the container as that agent, from a git directory of this call's own: of what the agent wrote into the
 * repository or into its settings nothing is executed (hooks, filters, fsmonitor, external diffs), and nothing there is written.
 */
import { createPlaces } from "@berth/shared/bounds/places";
import { AppError } from "@berth/shared/errors";
import { type Changes, changesMax } from "@berth/shared/files";
import { createLocks } from "../context/wait.ts";
import { paths } from "../workspace/container.ts";
import { homeOf, placeOf } from "../workspace/environment.ts";
import { type Found, readChanges, splitExit } from "./change-list.ts";
import { enter, type Entry, type EntryDeps } from "./entry.ts";
import { runProgram } from "./program.ts";

type Place = { id: string; directory: string | null };

/** Git's own time; what it has found by then counts. */
const gitSeconds = 20;
const listMaxBytes = 8 * 2 ** 20;
const diffMaxBytes = 2 ** 20;
/** Of a user, one at work and the others waiting for it. */
const maxPerUser = 4;

/** Similar names as renames, without a look at all pairs of very many. */
const diff =
  "git -c core.quotePath=false -c diff.renameLimit=400 diff -M --no-color --no-ext-diff --no-textconv --ignore-submodules=dirty";
/**
 * `$BERTH_PLACE` is where the agent works. Says the top of the repository, its branch and commit, what git
 * does not know yet, and what differs: NUL-terminated. Git learns of the new ones by an index of its own; their content is counted by
 * the diff. With `$BERTH_BEFORE` and `$BERTH_AFTER`, entries of an index, the diff of these alone: no file's name is an argument, for
 * those show to the user's other agents.
 */
const script = String.raw`
cd -- "$BERTH_PLACE" 2>/dev/null && dir=$(git rev-parse --absolute-git-dir 2>/dev/null) && top=$(git rev-parse --show-toplevel 2>/dev/null) || exit 3
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 124' TERM
common=$(git rev-parse --path-format=absolute --git-common-dir)
commit=$(git rev-parse --quiet --verify HEAD)
branch=$(git symbolic-ref --quiet --short HEAD)
git init --quiet --bare --template= --object-format="$(git rev-parse --show-object-format)" "$work" || exit 1
for key in core.autocrlf core.eol core.excludesFile; do
  value=$(git config "$key") && git config --file "$work/config" "$key" "$value"
done
ln -s "$common/info" "$work/info"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_DIR="$work" GIT_WORK_TREE="$top" GIT_ALTERNATE_OBJECT_DIRECTORIES="$common/objects"
cd -- "$top" || exit 1
index() { git update-index --add --replace -z --index-info; }
if [ -n "$BERTH_BEFORE$BERTH_AFTER" ]; then
  printf %b "$BERTH_BEFORE" | GIT_INDEX_FILE="$work/before" index
  tree=$(GIT_INDEX_FILE="$work/before" git write-tree --missing-ok) || exit 1
  printf %b "$BERTH_AFTER" | index
  ${diff} "$tree"
  exit
fi
cp "$dir/index" "$dir"/sharedindex.* "$work" 2>/dev/null
printf '%s\0%s\0%s\0' "$top" "$branch" "$commit"
git ls-files -z --others --exclude-standard | head -zn ${changesMax + 1} | tee "$work/new"
printf '\0'
[ -n "$commit" ] || commit=$(git hash-object -t tree /dev/null)
grep -zv '/$' "$work/new" | sed -z "s/^/100644 $commit\t/" | index
${diff} --raw --numstat -z --no-abbrev "$commit"`;
/** Its exit code is the last that is said, also where it was ended in the midst of a name. */
const timed = `timeout -k 1 ${gitSeconds} sh -c "$0" 2>/dev/null; printf '\\0=%s\\0' $?; printf done >&2`;

export function createChanges(deps: EntryDeps) {
  const places = createPlaces(Infinity, maxPerUser);
  const inTurn = createLocks();

  return {
    /** All that differs. */
    list: (userId: string, agent: Place): Promise<Changes> =>
      take(userId, async () => (await list(await enter(deps, userId, agent.id), agent)).changes),
    /** The change of one file as a diff. Throws `not_found` where it has none. */
    diff: (userId: string, agent: Place, path: string): Promise<Buffer> =>
      take(userId, async () => {
        const entry = await enter(deps, userId, agent.id);
        const one = (await list(entry, agent)).found.get(path);
        if (!one) throw new AppError("not_found", "This file has not changed since the last commit.");
        return readDiff(entry, agent, one);
      }),
  };

  async function take<T>(userId: string, job: () => Promise<T>): Promise<T> {
    const give = places.take(userId);
    if (!give)
      throw new AppError("rate_limited", "Changes of yours are being read already: try again.", { retryAfter: 2 });
    return inTurn(userId, job).finally(give);
  }

  async function list(entry: Entry, agent: Place) {
    const { said, isLong, isWhole } = await run(entry, agent, {}, listMaxBytes);
    if (!isWhole && !isLong) throw cut();
    return readChanges(said, homeOf(entry.agent), () => deps.context.turns(entry.agent.userId));
  }

  async function readDiff(entry: Entry, agent: Place, { before, after }: Found): Promise<Buffer> {
    if (before.length + after.length === 0) return before;
    const env = { BERTH_BEFORE: escape(before), BERTH_AFTER: escape(after) };
    const { said, isLong, isWhole } = await run(entry, agent, env, diffMaxBytes);
    if (isLong) return Buffer.concat([said, Buffer.from("\n\\ The diff is over 1 MiB: here is its beginning.\n")]);
    const { body, exitCode } = splitExit(said);
    if (!isWhole || exitCode !== 0) throw cut();
    return body;
  }

  function run(entry: Entry, agent: Place, more: Record<string, string>, maxBytes: number) {
    const command = ["/bin/sh", "-c", timed, script];
    return runProgram(deps, entry, { command, env: { ...gitEnv, BERTH_PLACE: placeOf(agent), ...more }, maxBytes });
  }
}

/** Above the agents' directories no repository is looked for, and nothing is asked or fetched. */
const gitEnv = {
  LC_ALL: "C",
  GIT_CEILING_DIRECTORIES: paths.workspace,
  GIT_OPTIONAL_LOCKS: "0",
  GIT_TERMINAL_PROMPT: "0",
  GIT_NO_LAZY_FETCH: "1",
  // Also where the agent writes into the git directory of this call.
  GIT_CONFIG_COUNT: "2",
  GIT_CONFIG_KEY_0: "core.hooksPath",
  GIT_CONFIG_VALUE_0: "/dev/null",
  GIT_CONFIG_KEY_1: "core.fsmonitor",
  GIT_CONFIG_VALUE_1: "false",
};
/** As `printf %b` reads bytes. */
const escape = (bytes: Buffer) => [...bytes].map((byte) => `\\0${byte.toString(8).padStart(3, "0")}`).join("");
const cut = () =>
  new AppError("host_unavailable", "Git did not come to an end in the workspace: try again.", { retryAfter: 2 });
