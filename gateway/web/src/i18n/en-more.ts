/** What only few pages say, in English. */
import { audit, hosts, users } from "./en/admin.ts";
import { changes } from "./en/changes.ts";
import { credentials } from "./en/credentials.ts";
import { triggers } from "./en/triggers.ts";

export const more = { audit, changes, credentials, hosts, triggers, users };
export type More = typeof more;
