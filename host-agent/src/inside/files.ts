/**
 * An agent's files, as that agent: each call is one execution of `berth-files` in the workspace, so that the kernel
 * decides what may be touched and no root process opens a path of the agent's. Streams; no file is ever held whole.
 */
import {
  type ArchiveFormat,
  type DirectoryListing,
  fileMaxBytes,
  type FilePath,
  listingMaxEntries,
} from "@berth/shared/files";
import { AppError } from "@berth/shared/errors";
import type { HostClaims } from "@berth/shared/host-api";
import { sleep } from "@berth/shared/wait";
import { createLocks } from "../context/wait.ts";
import { enter, type Entry, type EntryDeps } from "./entry.ts";
import { asRefusal } from "./file-errors.ts";
import { listingMaxBytes, readListing } from "./listing.ts";
import type { Streams } from "../output/open-streams.ts";
import { type Answer, type Head, startTransfer, type Transfer } from "./transfer.ts";

export interface FilesDeps extends EntryDeps {
  streams: Streams;
}
/** Whose call it is, and what it is about. */
export interface FileCall {
  claims: HostClaims;
  agentId: string;
  path: FilePath;
}
/** A part of a file: its first and last byte; without a first one, so many at its end; without a last one, all to the end. */
export interface Part {
  range: [first: number | null, last: number | null] | null;
  /** The ETag that the file must have for this to count; null for no condition. */
  ifRange: string | null;
}
export interface Upload {
  body: AsyncIterable<Uint8Array>;
  /** Bytes as declared; null if only the end of the body tells. */
  size: number | null;
  /** The ETag that the file must have now, `*` for any; null for no condition. */
  ifMatch: string | null;
  /** Whether nothing may have this name yet. */
  isNew: boolean;
}
export type FileHead = Extract<Head, { size: number }>;
/** Bytes that come as they are taken; whoever lets go of them calls `close`. The signal says that they were cut. */
export interface Content {
  chunks: AsyncGenerator<Uint8Array, undefined>;
  signal: AbortSignal;
  close(): Promise<void>;
}
export type ReadAnswer = { listing: DirectoryListing } | { file: FileHead; content: Content };
export type Files = ReturnType<typeof createFiles>;

const maxPerUser = 16;
/** Idle timeout of a peer that takes or sends nothing. */
const stallMs = 120_000;
/** A removal says nothing before its end: longer than the gateway waits for it. */
const removalMs = 660_000;
/** A start holds up the user's next one until it has said something, or for so long. */
const startMs = 1000;
/** How much, and how long, a client goes on sending that was refused already. */
const hearOutBytes = 64 * 2 ** 20;
const hearOutMs = 10_000;

export function createFiles(deps: FilesDeps) {
  const open: OpenTransfers = { ofUsers: new Map(), starts: createLocks() };

  return {
    /** A file to be taken, or the listing of a directory. Throws `not_found`, `forbidden`, `conflict`, … as all of these. */
    async read(call: FileCall, part: Part): Promise<ReadAnswer> {
      const limits = { maxEntries: listingMaxEntries, maxBytes: listingMaxBytes / 2 };
      const transfer = await begin(deps, open, call, { operation: "read", ...limits, ...part });
      return closeOnError(transfer, async () => {
        const { head, rest } = await answerOf(transfer);
        if (head.type === "file")
          return { file: head, content: { ...transfer, chunks: take(transfer, rest, head.length ?? head.size) } };
        const listing = await readListing(rest, () => deps.context.turns(call.claims.sub));
        await transfer.close();
        return { listing: { path: call.path.text, type: "directory", ...listing } };
      });
    },
    /** A directory as one stream. */
    async archive(call: FileCall, format: ArchiveFormat): Promise<Content> {
      const transfer = await begin(deps, open, call, { operation: "archive", format });
      return closeOnError(transfer, async () => {
        const { rest } = await answerOf(transfer);
        return { ...transfer, chunks: take(transfer, rest, Infinity) };
      });
    },
    /** Puts a file in place, whole or not at all; directories on the way are made. */
    async write(call: FileCall, { body, ...upload }: Upload): Promise<FileHead> {
      if (upload.size !== null && upload.size > fileMaxBytes) throw asRefusal("EFBIG");
      const transfer = await begin(deps, open, call, { operation: "write", maxBytes: fileMaxBytes, ...upload });
      return closeAfter(transfer, async () => {
        const sent = pump(transfer, body);
        const answer = await transfer.answer();
        // Nothing is taken any more. Many a client does not listen before it has sent all: it is heard out, within limits.
        await transfer.close();
        await Promise.race([sent, sleep(hearOutMs)]);
        return accept(answer).head as FileHead;
      });
    },
    /** Makes a directory and those on the way; one that is there is fine. */
    async makeDirectory(call: FileCall): Promise<FileHead> {
      const transfer = await begin(deps, open, call, { operation: "makeDirectory" });
      return closeAfter(transfer, async () => (await answerOf(transfer)).head as FileHead);
    },
    /** Removes a file, a link, or a directory with all in it. */
    async remove(call: FileCall): Promise<void> {
      const transfer = await begin(deps, open, call, { operation: "remove" }, removalMs);
      await closeAfter(transfer, () => answerOf(transfer));
    },
    /** Ends all transfers. */
    async close(): Promise<void> {
      await Promise.all([...open.ofUsers.values()].flatMap((ofUser) => [...ofUser].map((end) => end())));
    },
  };
}

/** Starts a transfer. It ends by `close`, with its credential, and when nothing moves any more. */
async function begin(
  deps: FilesDeps,
  { ofUsers, starts }: OpenTransfers,
  { claims, agentId, path }: FileCall,
  request: FileRequest,
  silenceMs = stallMs,
): Promise<OpenTransfer> {
  deps.streams.refuseUnvouched();
  const ofUser = ofUsers.get(claims.sub) ?? new Set();
  if (ofUser.size >= maxPerUser)
    throw new AppError("rate_limited", `At most ${maxPerUser} file transfers of a user go on at once.`, {
      retryAfter: 1,
    });
  const cut = new AbortController();
  const stalled = setTimeout(() => cut.abort(tellSilence(silenceMs)), silenceMs);
  const disconnect = deps.workspaces.connect(claims.sub);
  const unregister = deps.streams.add(claims, () => cut.abort(wasCut));
  let transfer: Transfer | null = null;
  let closing: Promise<void> | null = null;
  const gone = new AbortController();
  const close = () => (closing ??= release());
  async function release(): Promise<void> {
    gone.abort(cut.signal.reason ?? wasCut);
    clearTimeout(stalled);
    unregister();
    await transfer?.close();
    disconnect();
    ofUser.delete(close);
    if (ofUser.size === 0) ofUsers.delete(claims.sub);
  }
  ofUsers.set(claims.sub, ofUser.add(close));
  cut.signal.addEventListener("abort", () => void close(), { once: true });
  try {
    const entry = await enter(deps, claims.sub, agentId);
    const started = await starts(claims.sub, async () => {
      // Whoever went while others were started starts nothing, and what was being started meanwhile ends.
      gone.signal.throwIfAborted();
      return start(deps, entry, { path: Buffer.from(path.bytes).toString("hex"), ...request });
    });
    transfer = started;
    if (gone.signal.aborted) await started.close();
    // Whose end was ours says why; the workspace has not refused it.
    const answer = () =>
      started.answered.catch((error: unknown) => {
        throw cut.signal.aborted ? cut.signal.reason : error;
      });
    return { ...started, answer, close, signal: cut.signal, touch: () => void stalled.refresh() };
  } catch (error) {
    await close();
    throw error;
  }
}
/**
 * An exec is the engine's work, and everybody's runs are started by it: of one user it starts one after the other. An upload says
 * nothing before it has come.
 */
async function start(deps: EntryDeps, entry: Entry, request: FileRequest) {
  const transfer = await startTransfer(deps, entry, request);
  const answered = transfer.answer();
  const hasBegun = answered.then(noop, noop);
  if (request.operation !== "write") await Promise.race([hasBegun, sleep(startMs)]);
  return { ...transfer, answered };
}
const noop = () => undefined;
const wasCut = new AppError("host_unavailable", "The transfer was cut: try again.", { retryAfter: 2 });
const tellSilence = (ms: number) =>
  new AppError("host_unavailable", `Nothing moved for ${ms / 1000} s, so the transfer was given up: try again.`, {
    retryAfter: 2,
  });

/** What `berth-files` is asked. */
interface FileRequest {
  operation: "read" | "archive" | "write" | "makeDirectory" | "remove";
  [more: string]: unknown;
}
interface OpenTransfers {
  /** By user: how to end each. */
  ofUsers: Map<string, Set<() => Promise<void>>>;
  starts: ReturnType<typeof createLocks>;
}
interface OpenTransfer extends Transfer {
  signal: AbortSignal;
  /** Something moved. */
  touch(): void;
}

/** The answer, unless it is a refusal: that is thrown. */
async function answerOf(transfer: Transfer) {
  return accept(await transfer.answer());
}

function accept({ head, rest }: Answer) {
  if ("error" in head) throw asRefusal(head.error);
  return { head, rest };
}

/** Sends the body. What is not taken any more is read all the same; the answer tells. A sender that is gone ends the transfer. */
async function pump(transfer: OpenTransfer, body: AsyncIterable<Uint8Array>): Promise<void> {
  let isTaken = true;
  let left = hearOutBytes;
  try {
    for await (const chunk of body) {
      transfer.touch();
      isTaken &&= await transfer.send(chunk);
      if (!isTaken) left -= chunk.length;
      if (left < 0) return;
    }
    if (isTaken) await transfer.commit();
  } catch {
    await transfer.close();
  }
}

/** Exactly `size` bytes, unless that is infinite; then what comes. */
async function* take(
  transfer: OpenTransfer,
  rest: AsyncGenerator<Buffer>,
  size: number,
): AsyncGenerator<Uint8Array, undefined> {
  let left = size;
  try {
    for await (const chunk of rest) {
      transfer.touch();
      if (chunk.length > left) throw new Error("more came than was announced");
      left -= chunk.length;
      yield chunk;
    }
    if (size !== Infinity && left > 0) throw new Error("less came than was announced");
  } finally {
    await transfer.close();
  }
}

async function closeOnError<T>(transfer: Transfer, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    await transfer.close();
    throw error;
  }
}

async function closeAfter<T>(transfer: Transfer, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } finally {
    await transfer.close();
  }
}
