/** The runtimes: a further CLI is a file beside this one and a word in the record. */
import type { RuntimeName } from "@berth/shared/kinds/runtimes";
import { claude } from "./claude.ts";
import type { Runtime } from "./runtime.ts";
import { shell } from "./shell.ts";

/** In the order in which they are offered. */
export const runtimes: Record<RuntimeName, Runtime> = { claude, shell };
export const runtimeNames = Object.keys(runtimes) as RuntimeName[];

/** A line is drawn by whoever knows its type: a log may come before its agent is known here. */
export const dialects = Object.values(runtimes).flatMap(({ dialect }) => dialect ?? []);
