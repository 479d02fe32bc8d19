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
  const line = (level: string) => (event: string, fields: LogFields = {}) =>
    write(JSON.stringify({ at: new Date(now()).toISOString(), level, event, ...fields }));
  return { info: line("info"), warn: line("warn"), error: line("error") };
}

/** The message of anything thrown, for a log field. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
