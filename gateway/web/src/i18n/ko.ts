/** 한국어 페이지. 해요체로 쓰고, 이름 뒤의 조사는 바뀌지 않는 낱말에 붙여요. */
import type { First } from "./en.ts";
import { agents } from "./ko/agents.ts";
import { common } from "./ko/common.ts";
import { conversation } from "./ko/conversation.ts";
import { errors } from "./ko/errors.ts";
import { frame } from "./ko/frame.ts";
import { states } from "./ko/states.ts";

export const ko: First = {
  agents,
  common,
  conversation,
  errors,
  frame,
  states,
};
