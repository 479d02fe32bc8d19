/** Calls of the files API, and of what git says of them. A path is its segments in percent-encoding, for names are bytes and need not be text. */
import type { Changes, DirectoryListing, FileInfo } from "@berth/shared/files";
import { ApiError, ask, call, callMs, get, noteSignedOut, problemOf } from "../api/api.ts";

export type Entry = DirectoryListing["entries"][number];

/** Texts up to this size can be edited here. */
export const editableBytes = 1_000_000;

const urlOf = (agentId: string, path: string) => `/v1/agents/${agentId}/files/${path}`;
/** The segment of a URL that stands for the entry. */
export const segmentOf = (entry: Entry) => entry.encodedName ?? encodeURIComponent(entry.name);
export const joinPath = (directory: string, segment: string) => (directory ? `${directory}/${segment}` : segment);
/** A path in percent-encoding. */
export const toUrl = (path: string) => path.split("/").map(encodeURIComponent).join("/");
export const readable = (segment: string) => {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
};

/** The directory's entries: directories first, then by name; hidden ones last. */
export async function listDirectory(agentId: string, path: string): Promise<DirectoryListing> {
  const listing = await get<DirectoryListing>(urlOf(agentId, path));
  const rank = (entry: Entry) => (entry.name.startsWith(".") ? 2 : 0) + (entry.type === "directory" ? 0 : 1);
  listing.entries.sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name, "en", { numeric: true }));
  return listing;
}

export interface TextFile {
  /** Its lines end in "\n", as a text field has them. */
  text: string;
  etag: string;
  /** How they end in the file, where all do so. */
  lineBreak: "\n" | "\r\n";
}

/** The file as text; null when it is none. */
export async function readText(agentId: string, path: string): Promise<TextFile | null> {
  const answer = await ask(urlOf(agentId, path));
  if (!answer.ok) throw await toError(answer);
  const bytes = await answer.arrayBuffer();
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.includes("\0") ? null : { ...readLines(text), etag: answer.headers.get("etag") ?? "" };
  } catch {
    return null;
  }
}

const readLines = (text: string): Omit<TextFile, "etag"> => ({
  text: text.replace(/\r\n?/g, "\n"),
  lineBreak: text.includes("\r\n") && !/[\r\n]/.test(text.replaceAll("\r\n", "")) ? "\r\n" : "\n",
});

/** Saves a text over the version that was read; answers the new ETag. Throws `conflict` when it has changed since. */
export async function saveText(agentId: string, path: string, { text, etag, lineBreak }: TextFile): Promise<string> {
  const answer = await ask(urlOf(agentId, path), {
    method: "PUT",
    signal: AbortSignal.timeout(callMs),
    body: text.replaceAll("\n", lineBreak),
    headers: { "content-type": "application/octet-stream", ...(etag && { "if-match": etag }) },
  });
  if (answer.ok) return answer.headers.get("etag") ?? "";
  const error = await toError(answer);
  // Perhaps it is saved already, and only that answer was lost.
  const there = error.code === "conflict" ? await readText(agentId, path) : null;
  if (there?.text === text) return there.etag;
  throw error;
}

export const makeDirectory = (agentId: string, path: string) =>
  call<FileInfo>("PUT", `${urlOf(agentId, path)}?type=directory`);
export const removeFile = (agentId: string, path: string) => call("DELETE", urlOf(agentId, path));
export const downloadUrl = (agentId: string, path: string, archive?: "tar" | "zip") =>
  `${urlOf(agentId, path)}${archive ? `?download=${archive}` : ""}`;

const changesOf = (agentId: string) => `/v1/agents/${agentId}/changes`;
export const listChanges = (agentId: string) => get<Changes>(changesOf(agentId));
/** The change of one file, as git's diff. */
export async function readChange(agentId: string, path: string): Promise<string> {
  const answer = await ask(`${changesOf(agentId)}?path=${encodeURIComponent(path)}`);
  if (!answer.ok) throw await toError(answer);
  return answer.text();
}

/** Uploads a file as a stream; `onProgress` gets the bytes that are out. Throws an ApiError. */
export function uploadFile(
  agentId: string,
  path: string,
  file: File,
  onProgress: (sentBytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    // fetch does not tell how far an upload is.
    const request = new XMLHttpRequest();
    request.open("PUT", urlOf(agentId, path));
    request.setRequestHeader("content-type", "application/octet-stream");
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded));
    request.addEventListener("load", () =>
      request.status < 300 ? resolve() : reject(readProblem(request.status, request.responseText)),
    );
    request.addEventListener("error", () => reject(new ApiError("cut")));
    request.addEventListener("abort", () => reject(new ApiError("aborted")));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

const toError = async (answer: Response) => readProblem(answer.status, await answer.text());

function readProblem(status: number, text: string): ApiError {
  if (status === 401) noteSignedOut();
  return problemOf(status, text);
}
