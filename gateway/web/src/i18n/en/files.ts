/** An agent's files and terminals. */
import type { DirectoryListing } from "@berth/shared/files";
import { createPlural } from "../grammar.ts";

const plural = createPlural("en");

export const files = {
  of: (agent: string) => `Files of ${agent}`,
  place: "Location",
  upload: "Upload…",
  newFolder: "New folder…",
  newFolderName: "Name of the new folder",
  downloadAll: "Download all:",
  empty: "Nothing here yet. Drop files to upload them, or ask the agent to make some.",
  truncated: "There is more than fits in this list. Use a terminal to see the rest.",
  size: "Size",
  changed: "Changed",
  kinds: { file: "", directory: "folder", link: "link", other: "special" } satisfies Record<
    DirectoryListing["entries"][number]["type"],
    string
  >,
  download: "Download",
  downloadOne: (name: string) => `Download ${name}`,
  showMoreOf: (count: number) => plural(count, { other: "Show more of #" }),
  deleteTitle: (name: string) => `Delete ${name}?`,
  deleteFolder: "The folder is deleted with everything in it. This can't be undone.",
  deleteFile: "This can't be undone.",
  noText: "This is not a text file. Download it to look at it.",
  tooLarge: "This is too large to edit here. Download it, or use a terminal.",
  content: (name: string) => `Content of ${name}`,
  changedMeanwhile:
    "It has changed since you opened it. Copy what you wrote, reload the file, and put your change in again.",
  reload: "Reload",
  reloadTitle: (name: string) => `Reload ${name}?`,
  reloadLoss: "Your unsaved changes will be lost.",
  gone: (name: string) => `${name} is not in this folder.`,
  isFolder: "It is a folder. Drop the files inside it, or upload an archive and unpack that in a terminal.",
  isTooLarge: (limit: string) => `It is larger than ${limit}.`,
  uploads: "Uploads",
  uploadOf: (name: string) => `Upload of ${name}`,
  waiting: "Waiting",
  uploaded: (size: string) => `Uploaded, ${size}`,
  clear: "Clear the list",
  replaceTitle: "Replace what is there?",
  replace: "Replace",
  replaceWhat: (names: string) => `Already there: ${names}.`,
};

export const terminal = {
  group: "Terminals",
  one: (number: number) => `Terminal ${number}`,
  close: (number: number) => `Close terminal ${number}`,
  closeTitle: (number: number) => `Close terminal ${number}?`,
  closeLoss: "Its shell ends, along with whatever runs in it.",
  add: "New",
  screenReader: "Screen reader",
  keys: "Ctrl+Shift+C copies · Ctrl+Shift+V pastes · Ctrl+Shift+↑ leaves",
  thumbKeys: "More keys",
  ctrl: "Ctrl",
  keyNames: { "←": "Left", "↑": "Up", "↓": "Down", "→": "Right" } as Record<string, string>,
  none: "No terminal is open. A new one is a shell in this agent's directory, running as this agent: it sees what you change.",
  opening: "Opening a shell…",
  lost: "The connection was lost, and the shell ended with it. A new one opens by itself",
  refused: (detail: string) => `${detail} Press Enter to try again`,
  ended: (code: number | null) => `The shell has ended${code ? ` with code ${code}` : ""}. Press Enter for a new one`,
};
