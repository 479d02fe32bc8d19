/** Files over HTTP, for the gateway: `?path=` is the percent-encoded path as the client wrote it. Parses, calls one function, answers. */
import type { Context, Hono } from "hono";
import { z } from "zod";
import { parseOr400 } from "@berth/shared/errors";
import { archiveFormat, type FileInfo, filePath, type FilePath } from "@berth/shared/files";
import { id } from "@berth/shared/values";
import { type Content, type FileCall, type FileHead, type Files, type Part } from "../inside/files.ts";
import type { ServerEnv } from "./env.ts";

const address = z.object({ id, path: filePath });
const sizeHeader = z.coerce.number().int().nonnegative();

/** Adds the routes to the app. */
export function addFileRoutes(app: Hono<ServerEnv>, files: Files): void {
  app.get("/v1/agents/:id/files", async (c) => {
    const call = readCall(c);
    const download = c.req.query("download");
    if (download !== undefined) {
      const format = parseOr400(archiveFormat, download, "query");
      return answerContent(await files.archive(call, format), {
        "content-type": format === "tar" ? "application/x-tar" : "application/zip",
        "content-disposition": disposition(`${lastName(call)}.${format}`),
      });
    }
    const part = { range: readRange(c.req.header("range")), ifRange: c.req.header("if-range") ?? null };
    const found = await files.read(call, part);
    if ("listing" in found) return c.json(found.listing);
    const { size, first, length = size } = found.file;
    const isPart = first !== undefined;
    const place = length === 0 ? "*" : `${first}-${first! + length - 1}`;
    const headers = {
      ...describe(found.file),
      "content-type": "application/octet-stream",
      "content-length": String(length),
      "content-disposition": disposition(lastName(call)),
      "accept-ranges": "bytes",
      ...(isPart && { "content-range": `bytes ${place}/${size}` }),
    };
    return answerContent(found.content, headers, !isPart ? 200 : length === 0 ? 416 : 206);
  });
  app.put("/v1/agents/:id/files", async (c) => {
    const call = readCall(c);
    if (call.path.isDirectory || c.req.query("type") === "directory")
      return answerEntry(c, call.path, await files.makeDirectory(call));
    const declared = c.req.header("content-length");
    const head = await files.write(call, {
      // Whoever stops reading it must not break the connection that the answer takes.
      body: c.env.incoming.iterator({ destroyOnReturn: false }),
      size: declared === undefined ? null : parseOr400(sizeHeader, declared, "content-length"),
      ifMatch: c.req.header("if-match") ?? null,
      isNew: c.req.header("if-none-match") === "*",
    });
    return answerEntry(c, call.path, head);
  });
  app.delete("/v1/agents/:id/files", async (c) => {
    await files.remove(readCall(c));
    return c.body(null, 204);
  });
}

function readCall(c: Context<ServerEnv>): FileCall {
  const { id: agentId, path } = parseOr400(address, { id: c.req.param("id"), path: c.req.query("path") ?? "" }, "path");
  return { claims: c.get("claims"), agentId, path };
}

function answerEntry(c: Context<ServerEnv>, path: FilePath, head: FileHead): Response {
  const modifiedAt = new Date(head.modifiedMs).toISOString();
  const info: FileInfo = { path: path.text, type: head.type, size: head.size, modifiedAt };
  return c.json(info, 200, describe(head));
}

/** One range of bytes (RFC 9110, 14.1.2); anything else is answered as if it were not there. */
function readRange(header = ""): Part["range"] {
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header) ?? [];
  const range = [first ? Number(first) : null, last ? Number(last) : null] as const;
  const isNone =
    (range[0] === null && range[1] === null) || (range[0] !== null && range[1] !== null && range[0] > range[1]);
  return isNone ? null : [...range];
}

const describe = (head: FileHead) => ({ etag: head.etag, "last-modified": new Date(head.modifiedMs).toUTCString() });

const lastName = ({ agentId, path }: FileCall) => path.text.split("/").at(-1) || `agent-${agentId}`;

/** RFC 6266: always a download, with a plain name for old clients and the true one. */
function disposition(name: string): string {
  const plain = name.replaceAll(/[^\w .-]/g, "_");
  const encoded = encodeURIComponent(name).replaceAll(
    /['()*!]/g,
    (special) => `%${special.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`;
}

/** Backpressure: nothing is read before the client has taken what was read before. */
function answerContent({ chunks, signal, close }: Content, headers: Record<string, string>, status = 200): Response {
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        signal.addEventListener("abort", () => controller.error(signal.reason), { once: true });
      },
      async pull(controller) {
        const { done, value } = await chunks.next();
        if (signal.aborted) return;
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await close();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, {
    status,
    headers: { ...headers, "cache-control": "no-store", "x-content-type-options": "nosniff" },
  });
}
