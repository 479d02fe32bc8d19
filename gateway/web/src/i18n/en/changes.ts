/** What an agent's repository has changed. */
import type { Change, Changes } from "@berth/shared/files";

export const changes = {
  of: (agent: string) => `Changes of ${agent}`,
  since: (branch: string | null) => (branch === null ? "Since the last commit" : `Since the last commit on ${branch}`),
  refresh: "Refresh",
  none: "Nothing has changed since the last commit.",
  reasons: {
    no_repository:
      "There is no git repository where this agent works. Ask it to make or clone one, and its changes will show up here.",
    too_many: "There are more changes than fit in this list. Use a terminal to see the rest.",
    took_too_long: "Git took too long: this is what it had found by then. Use a terminal to see the rest.",
    unreadable: "Git can't read all of this repository. Run git status in a terminal to see why.",
  } satisfies Record<NonNullable<Changes["reason"]>, string>,
  statuses: {
    added: "added",
    modified: "modified",
    deleted: "deleted",
    renamed: "renamed",
    untracked: "untracked",
  } satisfies Record<Change["status"], string>,
  was: (name: string) => `was ${name}`,
  changeOf: (name: string) => `Changes in ${name}`,
  binary: "It is not text, so there are no lines to show.",
  noLines: "No lines differ.",
  isCut: "The change is larger than this page shows. Use a terminal to see the rest.",
  gone: (name: string) => `${name} no longer has any changes.`,
  openFile: "Open the file",
};
