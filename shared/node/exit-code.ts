/** What the exit code of a process that could not start says to whoever supervises it. */
import { SettingsError } from "../src/settings.ts";

/** What a start needs is taken or not there yet, and may be free or there without a person: the message is one sentence. */
export class NotNowError extends Error {
  override readonly name = "NotNowError";
}

/** A wrong setting, or this host was removed: starting again would not help. */
export const personMustAct = 2;
/** `EX_TEMPFAIL` of sysexits(3): a service manager starts it again. */
export const tryLater = 75;

/** Of a process that this error ends; 1 where it is none of those that are told in a sentence. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof NotNowError) return tryLater;
  return error instanceof SettingsError ? personMustAct : 1;
}
