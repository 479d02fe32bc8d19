/** What went wrong, by the contract's code. `detail` is the API's own sentence, which stays English. */
import type { ErrorCode } from "@berth/shared/errors";
import { createPlural } from "../grammar.ts";

const plural = createPlural("en");

/** What an error says beside its code. */
export interface Trouble {
  detail: string;
  /** The limit that was met. */
  limit: number | null;
  /** Seconds after which trying again makes sense. */
  retryAfter: number | null;
  /** Fields of what was sent, and what each must be. */
  fields: { path: string; message: string }[];
}
/** The page's own codes: nothing answered, or what the page needs is gone with an upgrade, and what it was that broke. */
export type LocalCode = "offline" | "outdated" | "cut" | "aborted" | "unknown";

const soon = (seconds: number | null) =>
  seconds === null
    ? "Try again in a moment."
    : `Try again in ${plural(seconds, { one: "# second", other: "# seconds" })}.`;

export const errors: Record<ErrorCode | LocalCode, (trouble: Trouble) => string> = {
  offline: () => "The gateway isn't responding. Check the connection, then try again.",
  outdated: () => "Berth was updated. Reload the page.",
  cut: () => "The connection was lost. Nothing was saved.",
  aborted: () => "Stopped. Nothing was saved.",
  unknown: ({ detail }) => `Something went wrong: ${detail}`,
  invalid_request: ({ detail, fields }) => {
    const named = fields.filter(({ path }) => path !== "" && path !== "?");
    return named.length > 0
      ? `Check what you entered: ${named.map(({ path, message }) => `${path} ${message}`).join("; ")}.`
      : `Check what you entered. ${detail}`;
  },
  unauthenticated: () => "You are no longer signed in. Sign in again.",
  forbidden: ({ detail }) => detail,
  not_found: () => "It no longer exists.",
  agent_limit: ({ limit }) => `All ${limit ?? ""} agents are in use. Delete one first.`.replace("  ", " "),
  agent_busy: ({ detail }) => detail,
  conflict: ({ detail }) => detail,
  payload_too_large: ({ detail }) => detail,
  run_limit: ({ limit }) =>
    limit === null
      ? "Too many runs are in progress. Wait for one to end."
      : `${plural(limit, { one: "# run is", other: "# runs are" })} in progress already. Wait for one to end.`,
  // With a limit it is that of a day's text.
  rate_limited: ({ limit, retryAfter }) =>
    limit === null
      ? `Too many requests. ${soon(retryAfter)}`
      : "The day's storage for messages and deliveries is full. Send less, or try again tomorrow (UTC).",
  internal: ({ detail }) => detail,
  host_unavailable: ({ detail }) => detail,
  no_host: ({ retryAfter }) => `No host can take a new workspace right now. ${soon(retryAfter)}`,
};
