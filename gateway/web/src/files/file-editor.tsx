/** One file: a small text to read and edit, or what else it is. */
import { useEffect, useState } from "preact/hooks";
import { ApiError } from "../api/api.ts";
import { t } from "../i18n/language.ts";
import { formatBytes } from "../text/format.ts";
import { Confirm } from "../ui/confirm.tsx";
import { useKept } from "../kept/use-kept.ts";
import { useTask } from "../ui/use-task.ts";
import { showable } from "../text/plain-text.ts";
import { downloadUrl, editableBytes, readText, saveText, type Entry, type TextFile } from "./files.ts";
import { Failure } from "../ui/failure.tsx";

interface FileEditorProps {
  agentId: string;
  path: string;
  entry: Entry;
  onSaved: () => Promise<void>;
}

export function FileEditor({ agentId, path, entry, onSaved }: FileEditorProps) {
  const words = t().files;
  const isSmall = entry.size <= editableBytes;
  const [file, setFile] = useState<TextFile | null | "loading">(isSmall ? "loading" : null);
  const [failure, setFailure] = useState<unknown>(null);
  const load = () => readText(agentId, path).then(setFile, setFailure);
  useEffect(() => void (isSmall && load()), []);
  return (
    <section class="editor">
      <p class="actions">
        <span class="muted">{formatBytes(entry.size)}</span>
        <a href={downloadUrl(agentId, path)} download>
          {words.download}
        </a>
      </p>
      <Failure error={failure} />
      {file === "loading" && !failure && (
        <p class="muted" role="status">
          {t().common.loading}
        </p>
      )}
      {file === null && <p class="muted">{isSmall ? words.noText : words.tooLarge}</p>}
      {file !== null && file !== "loading" && (
        <TextEditor
          key={path}
          name={showable(entry.name)}
          place={`berth.edit.${agentId}.${path}`}
          file={file}
          reload={load}
          save={async (text, base) => {
            const etag = await saveText(agentId, path, { text, etag: base });
            setFile({ text, etag });
            await onSaved();
          }}
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
  /** `base` is the version that was edited. */
  save: (text: string, base: TextFile["etag"]) => Promise<void>;
  reload: () => Promise<void>;
}

function TextEditor({ name, place, file, save, reload }: TextEditorProps) {
  const words = t().files;
  const [kept, keep, forget] = useKept(place);
  const [isAsking, setAsking] = useState(false);
  const edited = kept === null ? file : (JSON.parse(kept) as TextFile);
  const { text } = edited;
  const setText = (next: string) => keep(JSON.stringify({ text: next, etag: edited.etag } satisfies TextFile));
  const task = useTask(async () => {
    try {
      await save(text, edited.etag);
      forget();
    } catch (error) {
      if (error instanceof ApiError && error.code === "conflict")
        throw new Error(words.changedMeanwhile, { cause: error });
      throw error;
    }
  });
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
      <Failure error={task.failure} />
      <p class="actions">
        <button type="submit" class="primary" disabled={!isChanged || task.isBusy}>
          {task.isBusy ? t().common.saving : t().common.save}
        </button>
        <button type="button" onClick={() => (isChanged ? setAsking(true) : void reload())} disabled={task.isBusy}>
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
