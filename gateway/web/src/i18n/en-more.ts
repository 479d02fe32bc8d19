/** What only few pages say, in English. */
import { audit, hosts, users } from "./en/admin.ts";
import { changes } from "./en/changes.ts";
import { credentials } from "./en/credentials.ts";
import { files, terminal } from "./en/files.ts";
import { account, lists, search, signIn, tokens, use } from "./en/lists.ts";
import { settings } from "./en/settings.ts";
import { triggers } from "./en/triggers.ts";

export const more = {
  account,
  audit,
  changes,
  credentials,
  files,
  hosts,
  lists,
  search,
  settings,
  signIn,
  terminal,
  tokens,
  triggers,
  use,
  users,
};
export type More = typeof more;
