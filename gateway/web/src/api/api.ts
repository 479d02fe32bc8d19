/** Calls of the public API with the session cookie. Knows nothing of pages. */
import type { Problem } from "@berth/shared/errors";

/** What went wrong with a call, in words for a person. `code` is the contract's, or `offline` when nothing answered. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: Problem["code"] | "offline";
  readonly problem: Partial<Problem>;
  /** Seconds after which a retry makes sense; null when the answer says nothing of it. */
  readonly retryAfter: number | null;
  constructor(
    code: ApiError["code"],
    message: string,
    problem: Partial<Problem> = {},
    retryAfter: number | null = null,
  ) {
    super(message);
    this.code = code;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

export interface Page<T> {
  items: T[];
  nextCursor: string | null;
}

let whenSignedOut = () => {};
/** Says what to do when a call shows that the session is over. */
export function onSignedOut(act: () => void): void {
  whenSignedOut = act;
}

/** Longer than the gateway waits for a host. */
const callMs = 90_000;

/** One call; answers the JSON body, or undefined without one. Throws an ApiError. */
export async function call<T = void>(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
  deadlineMs = callMs,
): Promise<T> {
  const answer = await send(method, path, body, headers, AbortSignal.timeout(deadlineMs));
  if (answer.ok) return (answer.status === 204 ? undefined : await answer.json()) as T;
  const problem = (await answer.json().catch(() => ({}))) as Partial<Problem>;
  if (answer.status === 401 && path !== "/session") whenSignedOut();
  const retryAfter = Number(answer.headers.get("retry-after")) || null;
  const words = problem.detail ?? `The gateway answered ${answer.status}.`;
  throw new ApiError(
    problem.code ?? (answer.status >= 500 ? "offline" : "invalid_request"),
    words,
    problem,
    retryAfter,
  );
}

export const get = <T>(path: string, deadlineMs?: number) => call<T>("GET", path, undefined, {}, deadlineMs);
export const post = <T = void>(path: string, body?: unknown, headers?: Record<string, string>, deadlineMs?: number) =>
  call<T>("POST", path, body, headers, deadlineMs);

/**
 * A POST that may be repeated, for it carries an Idempotency-Key: tried again up to `tries` times while nothing answers or
 * the host is away. `key` is of what is sent: whoever calls again with it sends nothing a second time. Throws the last ApiError.
 */
export async function postOnce<T>(path: string, body: unknown, key: string, tries = 4): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await post<T>(path, body, { "idempotency-key": key });
    } catch (error) {
      const mayRepeat = error instanceof ApiError && (error.code === "offline" || error.code === "host_unavailable");
      if (!mayRepeat || attempt >= tries) throw error;
      await pause(Math.random() * 500 * 2 ** attempt);
    }
  }
}

/** All items of a list, at most `most` of them. */
export async function getAll<T>(path: string, most = 1000): Promise<T[]> {
  const items: T[] = [];
  for (let cursor: string | null = ""; cursor !== null && items.length < most;) {
    const page: Page<T> = await get(
      `${path}${path.includes("?") ? "&" : "?"}limit=200${cursor && `&cursor=${cursor}`}`,
    );
    items.push(...page.items);
    cursor = page.nextCursor;
  }
  return items;
}

/** What to tell a person of any failure. */
export function explain(error: unknown): string {
  return error instanceof Error ? error.message : "Something went wrong.";
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function send(
  method: string,
  path: string,
  body: unknown,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Response> {
  try {
    return await fetch(path, {
      method,
      signal,
      headers: body === undefined ? headers : { "content-type": "application/json", ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError("offline", "The gateway does not answer. Check the connection, then try again.");
  }
}
