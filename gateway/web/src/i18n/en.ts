/** The page in English. Its shape is that of every catalogue: a sentence that one of them lacks does not compile. */
import { account, lists, search, signIn, tokens, use } from "./en/lists.ts";
import { agents } from "./en/agents.ts";
import { audit, hosts, users } from "./en/admin.ts";
import { common } from "./en/common.ts";
import { conversation } from "./en/conversation.ts";
import { credentials } from "./en/credentials.ts";
import { errors } from "./en/errors.ts";
import { files, terminal } from "./en/files.ts";
import { frame } from "./en/frame.ts";
import { states } from "./en/states.ts";
import { triggers } from "./en/triggers.ts";

export const en = {
  account,
  agents,
  audit,
  common,
  conversation,
  credentials,
  errors,
  files,
  frame,
  hosts,
  lists,
  search,
  signIn,
  states,
  terminal,
  tokens,
  triggers,
  use,
  users,
};
export type Catalogue = typeof en;
