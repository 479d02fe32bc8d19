/** The agent's files: a directory at a time, or one file. The place is in the address, so that it can be linked and gone back from. */
import "../style/few.css";
import { useEffect, useRef, useState } from "preact/hooks";
import type { DirectoryListing } from "@berth/shared/files";
import type { Agent } from "@berth/shared/resources";
import { ApiError } from "../api/api.ts";
import { t } from "../i18n/language.ts";
import { runOfAgent } from "../state/agents.ts";
import { logs } from "../state/live.ts";
import { go, Link, search } from "../ui/router.tsx";
import { useLookedAtAgain } from "../ui/use-answer.ts";
import { FileEditor } from "./file-editor.tsx";
import { FileTable } from "./file-table.tsx";
import {
  downloadUrl,
  joinPath,
  listDirectory,
  makeDirectory,
  readable,
  segmentOf,
  toUrl,
  type Entry,
} from "./files.ts";
import { NewDirectory } from "./new-directory.tsx";
import { UploadList, useUploads } from "./uploads.tsx";
import { Failure, Loading } from "../ui/failure.tsx";
import { useAgain } from "../ui/use-task.ts";

export function FilesTab({ agent }: { agent: Agent }) {
  const params = new URLSearchParams(search.value);
  const start = toUrl(agent.directory ?? "");
  const directory = params.get("dir") ?? start;
  const file = params.get("file");
  const here = (query: string) => `/agents/${agent.id}/files${query}`;
  const leave = () => {
    // Where the agent works is made by its next message.
    if (directory && !params.has("dir")) go(here("?dir="), { replace: true });
  };
  const { listing, failure, load } = useListing(agent.id, directory, leave);
  const hrefOf = (entry: Entry) => {
    const segment = segmentOf(entry);
    if (entry.type === "directory") return here(`?dir=${encodeURIComponent(joinPath(directory, segment))}`);
    return here(`?dir=${encodeURIComponent(directory)}&file=${encodeURIComponent(segment)}`);
  };
  useFollow(agent.id, load);
  const entry = file === null ? undefined : listing?.entries.find((one) => segmentOf(one) === file);
  return (
    <div class="page scroller files" tabIndex={0} role="region" aria-label={t().files.of(agent.name)}>
      <Crumbs base={here("")} directory={directory} file={entry ? file : null} />
      <Failure error={failure ?? (file !== null && listing && !entry && t().files.gone(readable(file)))} />
      {entry ? (
        <FileEditor
          key={joinPath(directory, file!)}
          agentId={agent.id}
          path={joinPath(directory, file!)}
          entry={entry}
          onSaved={load}
        />
      ) : (
        listing && <Directory agent={agent} directory={directory} listing={listing} hrefOf={hrefOf} reload={load} />
      )}
      {!listing && !failure && <Loading />}
    </div>
  );
}

interface Listed {
  /** Of this place alone. */
  of: string;
  listing: DirectoryListing | null;
  failure: unknown;
}

function useListing(agentId: string, directory: string, onMissing: () => void) {
  const place = `${agentId}/${directory}`;
  const empty: Listed = { of: place, listing: null, failure: null };
  const [last, setLast] = useState(empty);
  const { listing, failure } = last.of === place ? last : empty;
  /** Null once nobody looks. */
  const wanted = useRef<string | null>(null);
  wanted.current = place;
  useEffect(() => () => void (wanted.current = null), []);
  const load = async () => {
    if (wanted.current !== place) return;
    const found = await listDirectory(agentId, directory).then(
      (one) => ({ listing: one, failure: null }),
      (error: unknown) => ({ failure: error }),
    );
    if (wanted.current !== place) return;
    setLast((before) => ({ ...(before.of === place ? before : empty), ...found }));
    if (found.failure instanceof ApiError && found.failure.code === "not_found") onMissing();
  };
  useEffect(() => void load(), [place]);
  useAgain(failure, load);
  return { listing, failure, load };
}

/** At most this often while the agent works. */
const followMs = 2000;

/** What the agent makes shows: the list is loaded again as its run prints something, when that ends, and when the page is looked at again. */
function useFollow(agentId: string, load: () => Promise<void>): void {
  const run = runOfAgent(agentId);
  const version = run ? logs.get(run.id)?.version.value : null;
  const timer = useRef<number | undefined>(undefined);
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    timer.current ??= window.setTimeout(() => {
      timer.current = undefined;
      void latest.current();
    }, followMs);
  }, [run?.id, version]);
  useEffect(() => () => clearTimeout(timer.current), []);
  useLookedAtAgain(load);
}

function Crumbs({ base, directory, file }: { base: string; directory: string; file: string | null }) {
  const segments = directory ? directory.split("/") : [];
  return (
    <nav class="crumbs" aria-label={t().files.place}>
      <Link href={`${base}?dir=`}>{t().agents.files}</Link>
      {segments.map((segment, at) => (
        <span key={at}>
          {" / "}
          <Link href={`${base}?dir=${encodeURIComponent(segments.slice(0, at + 1).join("/"))}`}>
            {readable(segment)}
          </Link>
        </span>
      ))}
      {file !== null && <span aria-current="page"> / {readable(file)}</span>}
    </nav>
  );
}

interface DirectoryProps {
  agent: Agent;
  directory: string;
  listing: DirectoryListing;
  hrefOf: (entry: Entry) => string;
  reload: () => Promise<void>;
}

function Directory({ agent, directory, listing, hrefOf, reload }: DirectoryProps) {
  const words = t().files;
  const picker = useRef<HTMLInputElement>(null);
  const [isOver, setOver] = useState(false);
  const uploads = useUploads(agent.id, directory, listing, reload);
  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    const entries = [...(event.dataTransfer?.items ?? [])].map((item) => item.webkitGetAsEntry());
    const folders = new Set(entries.filter((entry) => entry?.isDirectory).map((entry) => entry!.name));
    uploads.add([...(event.dataTransfer?.files ?? [])], folders);
  };
  return (
    <div
      class={`drop ${isOver ? "over" : ""}`}
      onDragOver={(event) => (event.preventDefault(), setOver(true))}
      onDragLeave={() => setOver(false)}
      onDrop={onDrop}
    >
      <p class="actions">
        <button type="button" onClick={() => picker.current?.click()}>
          {words.upload}
        </button>
        <NewDirectory
          place={`${agent.id}/${directory}`}
          make={(name) => makeDirectory(agent.id, joinPath(directory, encodeURIComponent(name))).then(reload)}
        />
        <DownloadAll agentId={agent.id} directory={directory} />
        <input
          ref={picker}
          type="file"
          multiple
          hidden
          onChange={(event) => {
            uploads.add([...(event.currentTarget.files ?? [])]);
            event.currentTarget.value = "";
          }}
        />
      </p>
      <UploadList uploads={uploads} />
      {listing.entries.length > 0 ? (
        <FileTable
          key={directory}
          agentId={agent.id}
          directory={directory}
          entries={listing.entries}
          hrefOf={hrefOf}
          reload={reload}
        />
      ) : (
        <p class="muted">{words.empty}</p>
      )}
      {listing.truncated && <p class="muted">{words.truncated}</p>}
    </div>
  );
}

function DownloadAll({ agentId, directory }: { agentId: string; directory: string }) {
  return (
    <span class="muted">
      {t().files.downloadAll}{" "}
      <a href={downloadUrl(agentId, directory, "zip")} download>
        zip
      </a>{" "}
      <a href={downloadUrl(agentId, directory, "tar")} download>
        tar
      </a>
    </span>
  );
}
