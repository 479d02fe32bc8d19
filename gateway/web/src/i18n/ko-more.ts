/** 몇몇 페이지에서만 쓰는 말. */
import type { More } from "./en-more.ts";
import { audit, hosts, users } from "./ko/admin.ts";
import { changes } from "./ko/changes.ts";
import { credentials } from "./ko/credentials.ts";
import { triggers } from "./ko/triggers.ts";

export const more: More = { audit, changes, credentials, hosts, triggers, users };
