/** Work that a call leaves behind: its sender is answered first. */
import { messageOf } from "@berth/shared/log";
import type { Context } from "hono";
import type { AppEnv, Deps } from "../deps.ts";

/** Lets the work go on after the answer, where the runtime can wait for it; a failure is told, and a tick makes up for it. */
export function runAfterAnswer(
  c: Context<AppEnv>,
  { log }: Pick<Deps, "log">,
  what: string,
  work: () => Promise<unknown>,
): void {
  const done = work().catch((error: unknown) => log.error("background.failed", { what, error: messageOf(error) }));
  c.env?.waitUntil?.(done);
}
