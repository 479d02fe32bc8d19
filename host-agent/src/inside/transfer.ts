/**
 * One attached execution of `berth-files`: the request goes in by the environment, the answer's head and what follows
 * come out, an upload goes in by frames. Backpressure both ways: little is held at a time.
 */
import type { Writable } from "node:stream";
import { parseSmall } from "@berth/shared/bounds/json-scan";
import { AppError } from "@berth/shared/errors";
import { randomText } from "@berth/shared/ids";
import { z } from "zod";
import { endStarted, type Entry, type EntryDeps, startAttached } from "./entry.ts";
import { homeOf, toLines } from "../workspace/environment.ts";
import { readOutput, splitLine } from "../machine/exec-output.ts";
import { transferGid } from "../store/uids.ts";

const program = "/opt/berth/bin/berth-files";
const headMaxBytes = 4096;

/** The first line of an answer: the name of an error, or what was done or follows. An agent may have forged it. */
const headSchema = z.union([
  z.strictObject({ error: z.string().max(40) }),
  z.strictObject({
    type: z.enum(["file", "directory"]),
    size: z.int().nonnegative(),
    modifiedMs: z.int().min(-8.64e15).max(8.64e15),
    etag: z.string().regex(/^"[\w-]{1,80}"$/),
    /** Where what follows is a part of the file; none follows where there is no such part. */
    first: z.int().nonnegative().optional(),
    length: z.int().nonnegative().optional(),
  }),
  z.strictObject({ type: z.enum(["archive", "removed"]) }),
]);
export type Head = z.infer<typeof headSchema>;
/** The head, and all that follows it; taking that throws where some is missing. */
export interface Answer {
  head: Head;
  rest: AsyncGenerator<Buffer, undefined>;
}
export type Transfer = Awaited<ReturnType<typeof startTransfer>>;

/** Starts it. Throws `host_unavailable` where the container has gone meanwhile. Whoever has the answer calls `close`. */
export async function startTransfer(deps: EntryDeps, entry: Entry, request: object) {
  const { agent } = entry;
  const marker = `BERTH_TRANSFER=${randomText(20)}`;
  // Nothing of the agent's own environment: its PATH or LD_PRELOAD would decide what is executed.
  const env = toLines({ HOME: homeOf(agent), PATH: "/usr/bin:/bin", BERTH_REQUEST: JSON.stringify(request) });
  const spec = { command: [program], uid: agent.uid, gid: transferGid, workingDir: "/", attach: "streams" as const };
  const { execId, stream } = await startAttached(deps, entry, { ...spec, env: [...env, marker] });
  let hasEnded = false;
  stream.once("end", () => (hasEnded = true));
  const output = readOutput(stream);
  return {
    async answer(): Promise<Answer> {
      const answer = await splitLine(output, headMaxBytes).catch(() => null);
      const head = headSchema.safeParse(answer && parseSmall(answer.line, headMaxBytes));
      if (answer && head.success) return { head: head.data, rest: answer.rest };
      throw new AppError(
        "host_unavailable",
        "The workspace has no room for one more process, or has ended: try again.",
        { retryAfter: 2 },
      );
    },
    /** Sends a part of an upload; true once there is room for the next, false when it is not taken any more. */
    async send(chunk: Uint8Array): Promise<boolean> {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(chunk.length);
      if (chunk.length === 0) return true;
      stream.cork();
      stream.write(length);
      const written = write(stream, chunk);
      stream.uncork();
      return written;
    },
    /** Says that all of the upload came. */
    commit: () => write(stream, Buffer.alloc(4)),
    /** Ends it, should it go on still. */
    async close(): Promise<void> {
      stream.destroy();
      if (!hasEnded) await endStarted(deps, { ...entry, execId, gid: transferGid, marker }, 0);
    },
  };
}

const write = (stream: Writable, bytes: Uint8Array) =>
  new Promise<boolean>((resolve) => stream.write(bytes, (error) => resolve(!error)));
