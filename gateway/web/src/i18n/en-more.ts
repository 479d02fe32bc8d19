/** What only few pages say, in English. */
export { audit, hosts, users } from "./en/admin.ts";
export { changes } from "./en/changes.ts";
export { credentials } from "./en/credentials.ts";
export { files, terminal } from "./en/files.ts";
export { account, lists, search, signIn, tokens, use } from "./en/lists.ts";
export { settings } from "./en/settings.ts";
export { triggers } from "./en/triggers.ts";
