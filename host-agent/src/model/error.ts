/** Errors as the client of a model understands them. */
import type { ServerResponse } from "node:http";
import type { ModelApi } from "./api.ts";

/** Answers with an error in the API's shape; `message` is a sentence for a person. Does nothing but cut when an answer has begun. */
export function sendModelError(
  res: ServerResponse,
  api: ModelApi,
  status: number,
  message: string,
  headers: Record<string, string> = {},
): void {
  if (res.headersSent) return void res.destroy();
  const body = JSON.stringify(api.errorBody(status, message));
  res.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body), ...headers });
  res.end(body);
}
