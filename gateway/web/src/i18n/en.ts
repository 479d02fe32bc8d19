/** What the first page and a conversation say, in English. */
export { agents } from "./en/agents.ts";
export { common } from "./en/common.ts";
export { conversation } from "./en/conversation.ts";
export { errors } from "./en/errors.ts";
export { frame } from "./en/frame.ts";
export { states } from "./en/states.ts";
