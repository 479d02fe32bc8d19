/** The runtimes by their names: a further CLI is a file beside this one and a word in the record. */
import type { RuntimeName } from "@berth/shared/kinds/runtimes";
import { claude } from "./claude.ts";
import type { Runtime } from "./runtime.ts";
import { shell } from "./shell.ts";

export const runtimes: Record<RuntimeName, Runtime> = { claude, shell };
