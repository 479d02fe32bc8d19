/** What every room says. */
import type { ComponentChildren } from "preact";
import type { Wrap } from "../grammar.ts";

export const common = {
  moment: "One moment…",
  loading: "Loading…",
  save: "Save",
  saving: "Saving…",
  notSaved: "Not saved yet",
  cancel: "Cancel",
  tryAgain: "Try again",
  close: "Close",
  done: "Done",
  edit: "Edit",
  delete: "Delete",
  deleteAsk: "Delete…",
  remove: "Remove",
  stop: "Stop",
  stopAtOnce: "Stop now",
  stopping: "Stopping…",
  starting: "Starting…",
  copy: "Copy",
  copied: "Copied",
  copyByHand: "Select it and copy by hand",
  showMore: "Show more",
  left: (size: string) => `${size} left`,
  none: "none",
  never: "never",
  actions: "Actions",
  table: "Table",
  code: (language: string) => (language ? `Code, ${language}` : "Code"),
  copyCode: "Copy the code",
  image: "image",
  notAnAddress: "Not a web address",
  of: (used: string, limit: string) => `${used} of ${limit}`,
  typeToConfirm: (name: ComponentChildren): ComponentChildren => ["Type ", name, " to confirm"],
  copyNow: (strong: Wrap, what: string): ComponentChildren => [
    strong("Copy it now:"),
    ` ${what} won't be shown again.`,
  ],
  onlyHere:
    "This address works on Berth's own machine only. Set BERTH_PUBLIC_URL to one that others can reach, and restart Berth.",
  theSecret: "the secret",
  theToken: "the token",
  /** In a list of names. */
  list: (names: string[]) => new Intl.ListFormat("en").format(names),
};
