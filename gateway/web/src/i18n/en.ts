/** What the first page and a conversation say, in English. Its shape is that of every catalogue: a sentence that one of them lacks does not compile. */
import { agents } from "./en/agents.ts";
import { common } from "./en/common.ts";
import { conversation } from "./en/conversation.ts";
import { errors } from "./en/errors.ts";
import { frame } from "./en/frame.ts";
import type { More } from "./en-more.ts";
import { states } from "./en/states.ts";

export const en = {
  agents,
  common,
  conversation,
  errors,
  frame,
  states,
};
export type First = typeof en;
export type Catalogue = First & More;
