/** Logs: one JSON object a line, fixed event names, facts as fields. Never bodies, headers, tokens, prompts or terminal bytes. */

export type LogFields = Record<string, string | number | boolean | null | undefined>;
/** info = state changed, warn = will retry, error = a person must act. */
export interface Log {
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

/** A log that gives each line to `write`. */
export function createLog(write: (line: string) => void, now: () => number = Date.now): Log {
  const line =
    (level: string) =>
    (event: string, fields: LogFields = {}) =>
      write(JSON.stringify({ at: new Date(now()).toISOString(), level, event, ...fields }));
  return { info: line("info"), warn: line("warn"), error: line("error") };
}

/** The message of anything thrown, for a log field. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A query's error also tells the values it was given, which no log may have; its reason is the cause.
  const [text = ""] = error.message.split("\nparams: ");
  return text !== error.message && error.cause instanceof Error ? `${text}: ${error.cause.message}` : text;
}

/** Where it was thrown, innermost first; without the message, which `messageOf` makes fit for a log. */
export function stackOf(error: unknown): string {
  const { message = "", stack = "" } = error instanceof Error ? error : {};
  const at = stack.indexOf(message);
  return at < 0
    ? ""
    : stack
        .slice(at + message.length)
        .split("\n    at ")
        .slice(1)
        .join(" < ");
}
