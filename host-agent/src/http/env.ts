/** What Hono knows beside a request: Node's own, and whom the gateway's token names. */
import type { IncomingMessage } from "node:http";
import type { CallClaims } from "@berth/shared/host-api";

/** `incoming` is the request as Node has it: an upload is read from there, uncopied. */
export type ServerEnv = {
  Bindings: { incoming: IncomingMessage };
  Variables: { claims: CallClaims };
};
