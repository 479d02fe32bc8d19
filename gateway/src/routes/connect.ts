/** The socket `berth.v1`: who may open it, and the pass-through to the user's host. */
import { AppError } from "@berth/shared/errors";
import { nameCall } from "@berth/shared/host-api";
import type { Context } from "hono";
import type { AppEnv, Deps } from "../deps.ts";
import { addressOn, hostHeaders, hostProblem, hostUnavailable } from "../hosts/call.ts";
import { placeUser } from "../hosts/placement.ts";
import { isAllowedOrigin } from "../http/origin.ts";
import { route } from "../http/route.ts";
import type { Authenticator, Caller } from "../http/caller.ts";

const protocol = "berth.v1";

export const connectRoutes = [
  route({
    method: "GET",
    path: "/v1/connect",
    summary:
      "WebSocket berth.v1: the workspace and its runs, live; credential by header, cookie or the subprotocol ticket.<ticket>",
    auth: "none",
    burst: "sockets",
    status: 101,
    errors: ["invalid_request", "unauthenticated", "no_host"],
    run: async ({ deps, c, authenticator }) => openSocket(deps, c, authenticator, "/v1/connect"),
  }),
];

/**
 * Joins the client's socket with the host's at `path`, for a caller that `admit` does not refuse by throwing; what that
 * answers the host is told in the query. A page of another origin is told so by close code 4003.
 */
export async function openSocket(
  deps: Deps,
  c: Context<AppEnv>,
  authenticator: Authenticator,
  path: string,
  admit: (caller: Caller) => Promise<Record<string, string>> = async () => ({}),
): Promise<Response> {
  const request = c.req.raw;
  const offered = (c.req.header("sec-websocket-protocol") ?? "").split(",").map((item) => item.trim());
  if (c.req.header("upgrade")?.toLowerCase() !== "websocket" || !offered.includes(protocol))
    throw new AppError("invalid_request", `This is a WebSocket: connect with the subprotocol ${protocol}.`);
  const origin = c.req.header("origin");
  if (origin !== undefined && !isAllowedOrigin(deps.settings, request, origin))
    return c.env?.closeSocket?.(4003, "origin refused", protocol) ?? refuseOrigin();
  const caller = await authenticateSocket(authenticator, request, offered);
  c.set("userId", caller.user.id);
  const query = new URLSearchParams({ ...c.req.query(), ...(await admit(caller)) }).toString();
  return joinHostSocket(deps, c, caller, query ? `${path}?${query}` : path);
}

function authenticateSocket(authenticator: Authenticator, request: Request, offered: string[]): Promise<Caller> {
  const ticket = offered.find((item) => item.startsWith("ticket."));
  return ticket ? authenticator.fromTicket(ticket.slice("ticket.".length)) : authenticator.fromRequest(request);
}

/** Only the handshake itself goes on to the host: no cookie, no origin, no ticket. */
async function joinHostSocket(deps: Deps, c: Context<AppEnv>, caller: Caller, path: string): Promise<Response> {
  const host = await placeUser(deps, caller.user.id);
  const url = addressOn(host, path);
  const headers = await hostHeaders(deps, host, caller, nameCall("GET", url), null);
  headers.set("upgrade", "websocket");
  headers.set("sec-websocket-protocol", protocol);
  for (const name of ["sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"]) {
    const value = c.req.header(name);
    if (value !== undefined) headers.set(name, value);
  }
  const target = new Request(url, { headers });
  // Node joins raw sockets; where the runtime's own fetch opens sockets, that does.
  const response = await (c.env?.upgrade ?? fetch)(target).catch((error: unknown) => {
    throw hostUnavailable(error);
  });
  if (response.status >= 400) throw await hostProblem(response);
  return response;
}

function refuseOrigin(): never {
  throw new AppError("forbidden", "A browser opens sockets from the dashboard's own origin alone.");
}
