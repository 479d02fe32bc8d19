/** An agent's files, what git says of them, and terminals: who may, and the pass-through to the user's host. Bytes stream; nothing is held here. */
import { AppError } from "@berth/shared/errors";
import {
  archiveFormat,
  changePath,
  changesSchema,
  directoryListing,
  fileMaxBytes,
  fileSchema,
  terminalSize,
} from "@berth/shared/files";
import type { Context } from "hono";
import { z } from "zod";
import { getAgentSpec } from "../agents/agents.ts";
import type { AppEnv, Deps } from "../deps.ts";
import { callAndRead, callHost, callHostJson, hostUnavailable, longDeadlineMs, type HostCall } from "../hosts/call.ts";
import { placeUser } from "../hosts/placement.ts";
import { readBytes } from "../http/body.ts";
import { digits } from "../http/paging.ts";
import { route, tailOf } from "../http/route.ts";
import { openSocket } from "./connect.ts";
import type { Caller } from "../http/caller.ts";

const { cols, rows } = terminalSize.shape;
const path = "/v1/agents/{id}/files/{path}";
const errors = ["forbidden", "conflict", "rate_limited", "host_unavailable", "no_host"] as const;
const binary = "application/octet-stream";
const diffType = "text/x-diff";
/** With the sentence that it is cut. */
const diffMaxBytes = 2 ** 20 + 1000;
/** Whatever a host says: a browser must never take an agent's bytes for a page. */
const archives = ["application/x-tar", "application/zip"];
const types = ["application/json", ...archives];
const passed = ["content-length", "content-disposition", "etag", "last-modified", "accept-ranges", "content-range"];

export const fileRoutes = [
  route({
    method: "GET",
    path,
    summary:
      "A file's bytes, or a directory's listing; Range asks for a part of a file (206), If-Range with its ETag for all if it has changed; ?download=zip or =tar makes an archive of a directory. The path may have slashes, each segment is percent-encoded",
    auth: "user",
    query: z.object({ download: archiveFormat.optional() }),
    headers: z.object({ Range: z.string().optional(), "If-Range": z.string().optional() }),
    answer: directoryListing,
    media: [binary, ...archives],
    otherwise: [
      { status: 206, when: "The part of the file that Range asks for", media: [binary] },
      { status: 416, when: "The file has no such part; content-range says how long it is", media: [] },
    ],
    errors: [...errors],
    run: async ({ deps, c, caller, params, query }) => {
      const search = query.download && `download=${query.download}`;
      // A range is of a body, and the answer to HEAD has none.
      const headers = pick(c.req.raw.headers, c.req.raw.method === "HEAD" ? [] : ["range", "if-range"]);
      const read = { method: "GET", headers, accepts: 416, deadlineMs: longDeadlineMs } as const;
      const response = await call(deps, c, caller, params.id, read, search);
      // The answer to HEAD has no body, but the host sends one: it is let go.
      if (c.req.raw.method === "HEAD") await response.body?.cancel();
      return passOn(response);
    },
  }),
  route({
    method: "PUT",
    path,
    summary:
      "Upload a file of up to 1 GiB: it appears whole or not at all, directories on the way are made; If-Match with an ETag guards against a change in between, If-None-Match: * against a file that is there. With a slash at its end, or ?type=directory, a directory",
    auth: "user",
    query: z.object({ type: z.literal("directory").optional() }),
    headers: z.object({ "If-Match": z.string().optional(), "If-None-Match": z.string().optional() }),
    upload: binary,
    answer: fileSchema,
    errors: [...errors, "payload_too_large"],
    run: async ({ deps, c, caller, params, query }) => {
      const isDirectory = query.type === "directory" || params.path.isDirectory;
      const { body } = c.req.raw;
      if (Number(c.req.header("content-length") ?? 0) > fileMaxBytes)
        throw new AppError("payload_too_large", "A file may have 1 GiB at most.");
      const upload =
        isDirectory || !body
          ? {}
          : { stream: body, headers: pick(c.req.raw.headers, ["content-length", "if-match", "if-none-match"]) };
      return passOn(
        await call(
          deps,
          c,
          caller,
          params.id,
          { method: "PUT", ...upload },
          isDirectory ? "type=directory" : undefined,
        ),
      );
    },
  }),
  route({
    method: "DELETE",
    path,
    summary: "Delete a file, or a directory with all in it",
    auth: "user",
    errors: [...errors],
    run: async ({ deps, c, caller, params }) => {
      if (c.req.header("if-match") !== undefined)
        throw new AppError(
          "invalid_request",
          "A deletion takes no If-Match: what is at the path goes, whatever it is.",
        );
      await call(deps, c, caller, params.id, { method: "DELETE", deadlineMs: 600_000 });
    },
  }),
  route({
    method: "GET",
    path: "/v1/agents/{id}/changes",
    summary:
      "What the git repository where the agent works has changed since its last commit, new files included, at most 2,000 of them; ?path= answers that file's change as a diff of at most 1 MiB",
    auth: "user",
    query: z.object({ path: changePath.optional() }),
    answer: changesSchema,
    media: [diffType],
    errors: ["rate_limited", "host_unavailable", "no_host"],
    run: async ({ deps, c, caller, params, query }) => {
      const { directory } = await getAgentSpec(deps.db, caller.user.id, params.id);
      const host = await placeUser(deps, caller.user.id);
      const where = new URLSearchParams({ directory: directory ?? "", ...query }).toString();
      const { signal } = c.req.raw;
      const ask = {
        method: "GET",
        path: `/v1/agents/${params.id}/changes?${where}`,
        deadlineMs: longDeadlineMs,
        signal,
      } as const;
      if (query.path === undefined) return callHostJson(deps, host, caller, ask, changesSchema);
      const text = await callAndRead(deps, host, caller, ask, (answer) => readBytes(answer, diffMaxBytes));
      if (!text) throw hostUnavailable(new Error("the diff is too long"));
      return new Response(text as Uint8Array<ArrayBuffer>, {
        headers: { "content-type": `${diffType}; charset=utf-8` },
      });
    },
  }),
  route({
    method: "GET",
    path: "/v1/agents/{id}/terminal",
    summary:
      'WebSocket berth.v1: a login shell where the agent works. Binary frames are its bytes; text frames {"type":"resize","cols","rows"} to it, {"type":"exit","code"} or {"type":"error","code","detail"} from it, then it closes. At most 5 an agent',
    auth: "none",
    query: z.object({ cols: digits(cols).optional(), rows: digits(rows).optional() }),
    burst: "sockets",
    status: 101,
    errors: ["unauthenticated", "no_host"],
    run: async ({ deps, c, authenticator, params }) =>
      openSocket(deps, c, authenticator, `/v1/agents/${params.id}/terminal`, async (caller) => {
        // The host may not have heard yet of a directory that was changed.
        const { directory } = await getAgentSpec(deps.db, caller.user.id, params.id);
        return { directory: directory ?? "" };
      }),
  }),
];

/** Calls the host of an agent that is the caller's. The path goes on as it was written. */
async function call(
  deps: Deps,
  c: Context<AppEnv>,
  caller: Caller,
  agentId: string,
  to: Omit<HostCall, "path">,
  search?: string,
): Promise<Response> {
  await getAgentSpec(deps.db, caller.user.id, agentId);
  const host = await placeUser(deps, caller.user.id);
  const query = `path=${encodeURIComponent(tailOf(c, path))}${search ? `&${search}` : ""}`;
  return callHost(deps, host, caller, {
    signal: c.req.raw.signal,
    ...to,
    path: `/v1/agents/${agentId}/files?${query}`,
  });
}

function passOn(response: Response): Response {
  const type = response.headers.get("content-type")?.split(";")[0] ?? "";
  const headers = pick(response.headers, passed);
  headers.set("content-type", types.includes(type) ? type : binary);
  const status = [206, 416].includes(response.status) ? response.status : 200;
  return new Response(response.body, { status, headers });
}

function pick(from: Headers, names: string[]): Headers {
  const picked = new Headers();
  for (const name of names) {
    const value = from.get(name);
    if (value !== null) picked.set(name, value);
  }
  return picked;
}
