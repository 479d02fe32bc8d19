/** The substitute of `node:crypto` for the host agent: random ids come from the seed. */
export * from "node:crypto";
export { randomUUID } from "../world/globals.ts";
