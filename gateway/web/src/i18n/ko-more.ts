/** 몇몇 페이지에서만 쓰는 말. */
import type { More } from "./en-more.ts";
import { audit, hosts, users } from "./ko/admin.ts";
import { changes } from "./ko/changes.ts";
import { credentials } from "./ko/credentials.ts";
import { files, terminal } from "./ko/files.ts";
import { account, lists, search, signIn, tokens, use } from "./ko/lists.ts";
import { settings } from "./ko/settings.ts";
import { triggers } from "./ko/triggers.ts";

export const more: More = {
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
