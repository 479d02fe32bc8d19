/** What the first page and a conversation say, in English. Its shape is that of every catalogue: a sentence that one of them lacks does not compile. */
import { account, lists, search, signIn, tokens, use } from "./en/lists.ts";
import { agents } from "./en/agents.ts";
import { common } from "./en/common.ts";
import { conversation } from "./en/conversation.ts";
import { errors } from "./en/errors.ts";
import { files, terminal } from "./en/files.ts";
import { frame } from "./en/frame.ts";
import type { More } from "./en-more.ts";
import { states } from "./en/states.ts";

export const en = {
  account,
  agents,
  common,
  conversation,
  errors,
  files,
  frame,
  lists,
  search,
  signIn,
  states,
  terminal,
  tokens,
  use,
};
export type First = typeof en;
export type Catalogue = First & More;
