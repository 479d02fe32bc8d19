/** Errors in the shape of the Messages API, so that a client of a model understands them. */
import type { ServerResponse } from "node:http";

export type ModelErrorType =
  | "invalid_request_error"
  | "authentication_error"
  | "billing_error"
  | "not_found_error"
  | "request_too_large"
  | "api_error";

/** Answers with an error; `message` is a sentence for a person. Does nothing but cut when an answer has begun. */
export function sendModelError(
  res: ServerResponse,
  status: number,
  type: ModelErrorType,
  message: string,
  headers: Record<string, string> = {},
): void {
  if (res.headersSent) return void res.destroy();
  const body = JSON.stringify({ type: "error", error: { type, message } });
  res.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body), ...headers });
  res.end(body);
}
