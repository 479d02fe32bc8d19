/** Calls of the public API with the session cookie. Knows nothing of pages. */
import type { Problem } from "@berth/shared/errors";
import { t } from "../i18n/language.ts";
import { noteServerTime } from "../text/clock.ts";
import type { LocalCode, Trouble } from "../i18n/en/errors.ts";

/** What went wrong with a call. `code` is the contract's, or the page's own: `offline` when nothing answered. The message is the API's own sentence. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: Problem["code"] | LocalCode;
  readonly problem: Partial<Problem>;
  /** Seconds after which a retry makes sense; null when the answer says nothing of it. */
  readonly retryAfter: number | null;
  constructor(code: ApiError["code"], message = "", problem: Partial<Problem> = {}, retryAfter: number | null = null) {
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

/** For calls that are not made here: one of them was answered 401. */
export const noteSignedOut = () => whenSignedOut();

/** Longer than the gateway waits for a host. */
export const callMs = 90_000;

/** Any answer; throws where there is none. */
export const ask = (path: string, init?: RequestInit): Promise<Response> =>
  fetch(path, init).catch(() => {
    throw new ApiError("offline");
  });

/** One call; answers the JSON body, or undefined without one. Throws an ApiError. */
export async function call<T = void>(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
  deadlineMs = callMs,
): Promise<T> {
  const askedAt = Date.now();
  const answer = await ask(path, {
    method,
    signal: AbortSignal.timeout(deadlineMs),
    headers: body === undefined ? headers : { "content-type": "application/json", ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  noteServerTime(answer.headers.get("date"), askedAt);
  if (answer.ok) return (answer.status === 204 ? undefined : await readBody(answer)) as T;
  if (answer.status === 401 && path !== "/session") whenSignedOut();
  const retryAfter = Number(answer.headers.get("retry-after")) || null;
  throw problemOf(answer.status, await answer.text().catch(() => ""), retryAfter);
}

export const get = <T>(path: string, deadlineMs?: number) => call<T>("GET", path, undefined, {}, deadlineMs);
export const post = <T = void>(path: string, body?: unknown, headers?: Record<string, string>, deadlineMs?: number) =>
  call<T>("POST", path, body, headers, deadlineMs);

const mostTries = 4;

/**
 * A POST that may be repeated, for it carries an Idempotency-Key: tried again up to `mostTries` times while nothing answers or
 * the host is away. `key` is of what is sent: whoever calls again with it sends nothing a second time. `maybeSent` is called where
 * a try may have got there all the same. Throws the last ApiError.
 */
export async function postOnce<T>(path: string, body: unknown, key: string, maybeSent = () => {}): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await post<T>(path, body, { "idempotency-key": key });
    } catch (error) {
      const mayRepeat = error instanceof ApiError && (error.code === "offline" || error.code === "host_unavailable");
      if (mayRepeat) maybeSent();
      if (!mayRepeat || attempt >= mostTries) throw error;
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

/** What is answered in place of what was asked for. Without a problem in its body something between here and the gateway has answered. */
export function problemOf(status: number, text: string, retryAfter: number | null = null): ApiError {
  const problem = readProblem(text);
  const code = problem.code ?? (status >= 500 ? "offline" : "unknown");
  return new ApiError(code, problem.detail ?? `HTTP ${status}`, problem, retryAfter);
}

/** What to tell a person of any failure, in the page's language: by its code; one that this page does not know by its own sentence. */
export function explain(error: unknown): string {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  const { code, message: detail, problem, retryAfter } = error;
  const trouble: Trouble = { detail, limit: problem.limit ?? null, retryAfter, fields: problem.errors ?? [] };
  return t().errors[code]?.(trouble) ?? detail;
}

function readProblem(text: string): Partial<Problem> {
  try {
    return (JSON.parse(text) ?? {}) as Partial<Problem>;
  } catch {
    return {};
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** An answer that breaks off says as little of what became of the call as none. */
const readBody = (answer: Response): Promise<unknown> =>
  answer.json().catch(() => {
    throw new ApiError("offline");
  });
