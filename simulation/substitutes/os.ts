/** The substitute of `node:os` for the host agent: what the real one says differs by machine, and costs reads of real files. */
export * from "node:os";
import { world } from "../world/world.ts";

/** Seconds since the machine was booted; a name of its own for each boot tells them apart. */
export const uptime = (): number => world().nowMs / 1000;
export const availableParallelism = (): number => 4;
