/** The closed set of error codes and what each means in HTTP. Knows nothing of servers: both processes turn an AppError into RFC 9457 with `toProblem`. */
import { z } from "zod";

/** Every code of the contract with its status and its title. */
const codes = {
  invalid_request: [400, "The request does not fit the contract"],
  unauthenticated: [401, "Sign in first"],
  forbidden: [403, "Not allowed"],
  not_found: [404, "Not found"],
  agent_limit: [409, "The limit of agents is reached"],
  agent_busy: [409, "The agent is busy"],
  conflict: [409, "The state forbids this"],
  payload_too_large: [413, "The request is too large"],
  run_limit: [429, "The limit of concurrent runs is reached"],
  rate_limited: [429, "Too many requests"],
  internal: [500, "Internal error"],
  host_unavailable: [503, "The host does not answer"],
  no_host: [503, "No host takes a new workspace"],
} as const;

export type ErrorCode = keyof typeof codes;
type ErrorStatus = (typeof codes)[ErrorCode][0];
export const httpStatusOf = (code: ErrorCode): ErrorStatus => codes[code][0];

/** RFC 9457 problem details, with the contract's `code` and `requestId`. */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.enum(Object.keys(codes) as [ErrorCode, ...ErrorCode[]]),
  requestId: z.string(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  limit: z.int().optional(),
  runId: z.string().optional(),
  /** What a run that was refused would have to wait for, where its code leaves that open. */
  waitsFor: z.literal("memory").optional(),
});
export type Problem = z.infer<typeof problemSchema>;

interface ProblemFields {
  errors?: { path: string; message: string }[];
  limit?: number;
  runId?: string;
  waitsFor?: "memory";
  /** Seconds, sent as `Retry-After`. */
  retryAfter?: number;
}

/** An outcome of the contract that is not success; `detail` is one sentence for a person and never echoes input. */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: ErrorCode;
  readonly fields: ProblemFields;
  constructor(code: ErrorCode, detail: string, fields: ProblemFields = {}, options?: ErrorOptions) {
    super(detail, options);
    this.code = code;
    this.fields = fields;
  }
}

/** For `catch`: an outcome of the contract counts as none, anything else is thrown on. */
export function nullIfRefused(error: unknown): null {
  if (error instanceof AppError) return null;
  throw error;
}

/** What a client sees of any error: an AppError as it is, everything else as `internal` without its cause. */
export function toProblem(
  error: unknown,
  requestId: string,
): { status: ErrorStatus; headers: Record<string, string>; body: Problem } {
  const known =
    error instanceof AppError
      ? error
      : new AppError("internal", "Something went wrong here; the log has it under this request id.");
  const { retryAfter, ...fields } = known.fields;
  if (known.code === "invalid_request") fields.errors ??= [{ path: "", message: known.message }];
  const [status, title] = codes[known.code];
  const headers: Record<string, string> = { "content-type": "application/problem+json" };
  if (retryAfter !== undefined) headers["retry-after"] = String(retryAfter);
  if (status === 401) headers["www-authenticate"] = "Bearer";
  return {
    status,
    headers,
    body: {
      type: "about:blank",
      title,
      status,
      detail: known.message,
      code: known.code,
      requestId,
      ...fields,
    },
  };
}

/** Parses at an edge: the value, or an `invalid_request` that names paths and reasons and never echoes the value. */
export function parseOr400<T extends z.ZodType>(schema: T, value: unknown, what: string): z.infer<T> {
  const parsed = schema.safeParse(value, { reportInput: false });
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.flatMap(explain).slice(0, 20);
  const [{ path, message } = { path: "", message: "is wrong" }] = errors;
  throw new AppError("invalid_request", `The ${what} does not fit: ${path ? `${path}: ` : ""}${message}.`, { errors });
}

/** What a person can act on, where the schema's own words say too little. */
function explain(issue: z.core.$ZodIssue): { path: string; message: string }[] {
  const { path, code } = issue;
  if (code === "unrecognized_keys")
    return issue.keys.map((key) => ({ path: [...path, key].map(nameOf).join("."), message: "is not a known field" }));
  const message = code === "invalid_key" ? issue.issues[0]?.message : undefined;
  return [{ path: path.map(nameOf).join("."), message: message ?? issue.message }];
}

/** A field's name; one that no field could have is input, and not echoed. */
function nameOf(key: PropertyKey): string {
  return /^[\w-]{1,64}$/.test(String(key)) ? String(key) : "?";
}
