/** One file: a small text to read and edit, or what else it is. */
import { useEffect, useState } from "preact/hooks";
import { ApiError } from "../api/api.ts";
import { t } from "../i18n/language.ts";
import { formatBytes } from "../text/format.ts";
import { Confirm } from "../ui/dialog.tsx";
import { keptText, useHeld, useKept } from "../kept/use-kept.ts";
import { useAgain, useTask } from "../ui/use-task.ts";
import { showable } from "../text/plain-text.ts";
import { downloadUrl, editableBytes, readText, saveText, type Entry, type TextFile } from "./files.ts";
import { Failure, Loading } from "../ui/failure.tsx";

interface FileEditorProps {
  agentId: string;
  path: string;
  entry: Entry;
  onSaved: () => Promise<void>;
}

const nothing: Promise<unknown> = Promise.resolve();

export function FileEditor({ agentId, path, entry, onSaved }: FileEditorProps) {
  const words = t().files;
  const isSmall = entry.size <= editableBytes;
  const [file, setFile] = useState<TextFile | null | "loading">(isSmall ? "loading" : null);
  const [failure, setFailure] = useState<unknown>(null);
  // A save goes on where its editor was left: who opens the file again meanwhile reads what that leaves.
  const [saving, noteSaving] = useHeld<Promise<unknown>>(`saving.${agentId}.${path}`, nothing, () => false);
  const load = async () => {
    await saving;
    setFile(await readText(agentId, path));
    setFailure(null);
  };
  const tryLoad = () => load().catch(setFailure);
  useEffect(() => void (isSmall && tryLoad()), []);
  useAgain(failure, tryLoad);
  return (
    <section class="editor">
      <p class="actions">
        <span class="muted">{formatBytes(entry.size)}</span>
        <a href={downloadUrl(agentId, path)} download>
          {words.download}
        </a>
      </p>
      <Failure error={failure} />
      {file === "loading" && !failure && <Loading />}
      {file === null && <p class="muted">{isSmall ? words.noText : words.tooLarge}</p>}
      {file !== null && file !== "loading" && (
        <TextEditor
          key={path}
          name={showable(entry.name)}
          place={`berth.edit.${agentId}.${path}`}
          file={file}
          reload={load}
          save={async (edited) => {
            const saved = saveText(agentId, path, edited);
            noteSaving(saved.catch(() => undefined));
            const etag = await saved;
            setFile({ ...edited, etag });
            return etag;
          }}
          onSaved={onSaved}
        />
      )}
    </section>
  );
}

interface TextEditorProps {
  name: string;
  /** Where what is not saved is kept. */
  place: string;
  file: TextFile;
  /** Over the version that was edited; answers the ETag of the one that is there now. */
  save: (edited: TextFile) => Promise<string>;
  onSaved: () => Promise<void>;
  reload: () => Promise<void>;
}

/** What was edited, and the ETag of the version that this was. */
type Edit = Pick<TextFile, "text" | "etag">;

function TextEditor({ name, place, file, save, onSaved, reload }: TextEditorProps) {
  const words = t().files;
  const [kept, keep, forget] = useKept(place);
  const [isAsking, setAsking] = useState(false);
  const { text, etag } = readEdit(kept) ?? file;
  const setText = (next: string) => keep(JSON.stringify({ text: next, etag } satisfies Edit));
  const task = useTask(async () => {
    const saved = await save({ ...file, text, etag }).catch((error: unknown) => {
      if (error instanceof ApiError && error.code === "conflict")
        throw new Error(words.changedMeanwhile, { cause: error });
      throw error;
    });
    forget();
    // What was typed meanwhile is an edit of what is saved now.
    const since = readEdit(keptText(place).text.peek());
    if (since) keep(JSON.stringify({ ...since, etag: saved } satisfies Edit));
    await onSaved();
  });
  const reading = useTask(reload);
  const isChanged = text !== file.text;
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key.toLowerCase() !== "s" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    if (isChanged) void task.run();
  };
  return (
    <form onSubmit={(event) => (event.preventDefault(), void task.run())}>
      <textarea
        aria-label={words.content(name)}
        spellcheck={false}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      <Failure error={task.failure ?? reading.failure} />
      <p class="actions">
        <button type="submit" class="primary" disabled={!isChanged || task.isBusy}>
          {task.isBusy ? t().common.saving : t().common.save}
        </button>
        <button type="button" onClick={() => (isChanged ? setAsking(true) : void reading.run())} disabled={task.isBusy}>
          {words.reload}
        </button>
        <span role="status" class="muted">
          {isChanged && t().common.notSaved}
        </span>
      </p>
      {isAsking && (
        <Confirm
          title={words.reloadTitle(name)}
          action={words.reload}
          onClose={() => setAsking(false)}
          act={() => reload().then(forget)}
        >
          <p>{words.reloadLoss}</p>
        </Confirm>
      )}
    </form>
  );
}

const readEdit = (kept: string | null) => (kept === null ? null : (JSON.parse(kept) as Edit));
