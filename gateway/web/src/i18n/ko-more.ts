/** 몇몇 페이지에서만 쓰는 말. */
export { audit, hosts, users } from "./ko/admin.ts";
export { changes } from "./ko/changes.ts";
export { credentials } from "./ko/credentials.ts";
export { files, terminal } from "./ko/files.ts";
export { account, lists, search, signIn, tokens, use } from "./ko/lists.ts";
export { settings } from "./ko/settings.ts";
export { triggers } from "./ko/triggers.ts";
