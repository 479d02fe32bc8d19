/**
 * Files that go with a message: brought by paste, drop or the picker, uploaded at once, and part of the draft once they are
 * there. What failed stays until it is tried again or let go.
 */
import { useRef } from "preact/hooks";
import { explain } from "../api/api.ts";
import { t } from "../i18n/language.ts";
import { useHeld } from "../kept/use-kept.ts";
import { formatBytes } from "../text/format.ts";
import { downloadUrl, toUrl, uploadFile } from "./files.ts";

interface Coming {
  path: string;
  file: File;
  sentBytes: number;
  failure: string | null;
  stop: AbortController;
}

/** As many as a message may have. */
export const mostAttachments = 20;
const none: Coming[] = [];
const nameOf = (path: string) => path.slice(path.lastIndexOf("/") + 1);

/** `onThere` hears of each that is uploaded, one after the other. */
export function useAttachments(agentId: string, onThere: (path: string) => void) {
  const [coming, setComing] = useHeld<Coming[]>(`attachments.${agentId}`, none, (all) => all.length > 0);
  const last = useRef<Promise<void>>(Promise.resolve());
  const change = (path: string, part: Partial<Coming>) =>
    setComing((all) => all.map((one) => (one.path === path ? { ...one, ...part } : one)));
  const drop = (path: string) => setComing((all) => all.filter((one) => one.path !== path));
  const upload = async ({ path, file, stop }: Coming) => {
    if (stop.signal.aborted) return;
    change(path, { failure: null });
    try {
      await uploadFile(agentId, toUrl(path), file, (sentBytes) => change(path, { sentBytes }), stop.signal);
      drop(path);
      onThere(path);
    } catch (error) {
      change(path, { failure: explain(error) });
    }
  };
  const send = (one: Coming) => (last.current = last.current.then(() => upload(one)));
  const attach = (files: File[]) => {
    // In a directory each, so that none takes the place of another of its name.
    const pathOf = (file: File) => `attachments/${crypto.randomUUID().slice(0, 8)}/${file.name}`;
    const added = files.map((file) => ({
      path: pathOf(file),
      file,
      sentBytes: 0,
      failure: null,
      stop: new AbortController(),
    }));
    setComing((all) => [...all, ...added]);
    for (const one of added) void send(one);
  };
  const letGo = (one: Coming) => {
    one.stop.abort();
    drop(one.path);
  };
  const bring = (event: Event, data: DataTransfer | null) => {
    const files = filesIn(data);
    if (files.length === 0) return;
    event.preventDefault();
    attach(files);
  };
  return { coming, attach, bring, retry: send, letGo };
}

/** What a paste or a drop brings; nothing of a paste that is text with a picture of it, as of a spreadsheet. */
function filesIn(data: DataTransfer | null): File[] {
  if (data === null || (data.types.includes("text/plain") && data.types.includes("text/html"))) return [];
  const items = [...data.items].filter(({ kind }) => kind === "file");
  return items.flatMap((item) => (item.webkitGetAsEntry()?.isDirectory ? [] : (item.getAsFile() ?? [])));
}

interface ChipsProps {
  paths: string[];
  onRemove: (path: string) => void;
  uploads: Pick<ReturnType<typeof useAttachments>, "coming" | "retry" | "letGo">;
}

export function AttachmentChips({ paths, onRemove, uploads: { coming, retry, letGo } }: ChipsProps) {
  if (paths.length + coming.length === 0) return null;
  const words = t().conversation.files;
  return (
    <>
      <ul class="chips" aria-label={words.attachments}>
        {paths.map((path) => (
          <li key={path}>
            <span class="name">{nameOf(path)}</span>
            <Remove name={nameOf(path)} onClick={() => onRemove(path)} />
          </li>
        ))}
        {coming.map((one) => (
          <li key={one.path} class={one.failure === null ? "" : "bad"}>
            <span class="name">{one.file.name}</span>
            <span class="muted" role={one.failure === null ? undefined : "alert"}>
              {one.failure ?? t().common.of(formatBytes(one.sentBytes), formatBytes(one.file.size))}
            </span>
            {one.failure !== null && (
              <button type="button" class="quiet" onClick={() => void retry(one)}>
                {t().common.tryAgain}
              </button>
            )}
            <Remove name={one.file.name} onClick={() => letGo(one)} />
          </li>
        ))}
      </ul>
      {paths.length > mostAttachments && <p class="warning bad">{words.tooMany(mostAttachments)}</p>}
    </>
  );
}

function Remove({ name, onClick }: { name: string; onClick: () => void }) {
  return (
    <button type="button" class="quiet" aria-label={t().conversation.files.letGo(name)} onClick={onClick}>
      ×
    </button>
  );
}

/** Those of a message that was sent. */
export function Attachments({ agentId, paths }: { agentId: string; paths: string[] }) {
  if (paths.length === 0) return null;
  return (
    <ul class="chips" aria-label={t().conversation.files.attachments}>
      {paths.map((path) => (
        <li key={path}>
          <a href={downloadUrl(agentId, toUrl(path))} download>
            {nameOf(path)}
          </a>
        </li>
      ))}
    </ul>
  );
}
