/** 한국어 페이지. 해요체로 쓰고, 이름 뒤의 조사는 바뀌지 않는 낱말에 붙여요. */
export { agents } from "./ko/agents.ts";
export { common } from "./ko/common.ts";
export { conversation } from "./ko/conversation.ts";
export { errors } from "./ko/errors.ts";
export { frame } from "./ko/frame.ts";
export { states } from "./ko/states.ts";
