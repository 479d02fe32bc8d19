/** Uploads into a directory: one after the other, each with its progress and a way to stop it. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { DirectoryListing } from "@berth/shared/files";
import { ApiError } from "../api/api.ts";
import { t } from "../i18n/language.ts";
import { useHeld } from "../kept/use-kept.ts";
import { formatBytes } from "../text/format.ts";
import { Confirm } from "../ui/dialog.tsx";
import { Meter } from "../ui/meter.tsx";
import { joinPath, uploadFile } from "./files.ts";
import { Failure } from "../ui/failure.tsx";

interface Upload {
  id: string;
  file: File;
  sentBytes: number;
  state: "waiting" | "sending" | "done" | "failed";
  failure: unknown;
  stop: AbortController;
}
type Uploads = ReturnType<typeof useUploads>;

const mostBytes = 2 ** 30;
const none: Upload[] = [];
const isOver = ({ state }: Upload) => state === "done" || state === "failed";

export function useUploads(agentId: string, directory: string, listing: DirectoryListing, reload: () => Promise<void>) {
  const [uploads, setUploads] = useHeld(`uploads.${agentId}/${directory}`, none, (all) => !all.every(isOver));
  // Who comes back finds what goes on or failed; what is done stands in the list of files.
  useEffect(() => () => setUploads((all) => all.filter(({ state }) => state !== "done")), [agentId, directory]);
  const [replacing, setReplacing] = useState<File[]>([]);
  const last = useRef<Promise<void>>(Promise.resolve());
  const change = (id: string, part: Partial<Upload>) =>
    setUploads((all) => all.map((one) => (one.id === id ? { ...one, ...part } : one)));
  const send = async ({ id, file, stop }: Upload) => {
    if (stop.signal.aborted) return change(id, { state: "failed", failure: new ApiError("aborted") });
    change(id, { state: "sending" });
    try {
      const path = joinPath(directory, encodeURIComponent(file.name));
      await uploadFile(agentId, path, file, (sentBytes) => change(id, { sentBytes }), stop.signal);
      change(id, { state: "done", sentBytes: file.size });
      await reload();
    } catch (error) {
      change(id, { state: "failed", failure: error });
    }
  };
  const start = (files: File[], folders: ReadonlySet<string> = new Set()) => {
    for (const file of files) {
      const failure = whyNot(file, folders);
      const upload: Upload = {
        id: crypto.randomUUID(),
        file,
        sentBytes: 0,
        state: failure === null ? "waiting" : "failed",
        failure,
        stop: new AbortController(),
      };
      if (failure === null) last.current = last.current.then(() => send(upload));
      setUploads((all) => [...all, upload]);
    }
  };
  /** `folders`: the names of those that are none. */
  const add = (files: File[], folders?: ReadonlySet<string>) => {
    const names = new Set(listing.entries.map(({ name }) => name));
    const there = files.filter(({ name }) => names.has(name) && !folders?.has(name));
    start(
      files.filter((file) => !there.includes(file)),
      folders,
    );
    if (there.length > 0) setReplacing(there);
  };
  return {
    uploads,
    replacing,
    add,
    replace: () => start(replacing),
    closeReplacing: () => setReplacing([]),
    clear: () => setUploads((all) => all.filter((one) => !isOver(one))),
  };
}

function whyNot(file: File, folders: ReadonlySet<string>): string | null {
  if (folders.has(file.name)) return t().files.isFolder;
  return file.size > mostBytes ? t().files.isTooLarge(formatBytes(mostBytes)) : null;
}

export function UploadList({ uploads: { uploads, replacing, replace, closeReplacing, clear } }: { uploads: Uploads }) {
  const isAllOver = uploads.length > 0 && uploads.every(isOver);
  return (
    <>
      {uploads.length > 0 && (
        <ul class="uploads" aria-label={t().files.uploads}>
          {uploads.map((upload) => (
            <UploadRow key={upload.id} upload={upload} />
          ))}
          {isAllOver && (
            <li>
              <button type="button" class="quiet" onClick={clear}>
                {t().files.clear}
              </button>
            </li>
          )}
        </ul>
      )}
      {replacing.length > 0 && (
        <Confirm
          title={t().files.replaceTitle}
          action={t().files.replace}
          onClose={closeReplacing}
          act={async () => replace()}
        >
          <p>{t().files.replaceWhat(t().common.list(replacing.map(({ name }) => name)))}</p>
        </Confirm>
      )}
    </>
  );
}

function UploadRow({ upload: { file, sentBytes, state, failure, stop } }: { upload: Upload }) {
  const words = t().files;
  const progress = t().common.of(formatBytes(sentBytes), formatBytes(file.size));
  return (
    <li>
      <span class="name">{file.name}</span>
      {(state === "sending" || state === "waiting") && (
        <>
          <Meter label={words.uploadOf(file.name)} words={progress} used={sentBytes} limit={file.size} />
          <span class="muted">{state === "waiting" ? words.waiting : progress}</span>
          <button type="button" class="quiet" onClick={() => stop.abort()}>
            {t().common.stop}
          </button>
        </>
      )}
      {state === "done" && <span class="muted">{words.uploaded(formatBytes(file.size))}</span>}
      <Failure error={failure} isInline />
    </li>
  );
}
