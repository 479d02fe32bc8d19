/** The entries of a directory, each with what can be done with it. */
import { useState } from "preact/hooks";
import { t } from "../i18n/language.ts";
import { formatBytes } from "../text/format.ts";
import { Ago } from "../ui/ago.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { More } from "../ui/failure.tsx";
import { Link } from "../ui/router.tsx";
import { showable } from "../text/plain-text.ts";
import { downloadUrl, joinPath, removeFile, segmentOf, type Entry } from "./files.ts";
import { TableHead } from "../ui/table-head.tsx";

interface FileTableProps {
  agentId: string;
  directory: string;
  entries: Entry[];
  hrefOf: (entry: Entry) => string;
  reload: () => Promise<void>;
}

const shownAtOnce = 500;

export function FileTable({ agentId, directory, entries, hrefOf, reload }: FileTableProps) {
  const words = t().files;
  const [deleting, setDeleting] = useState<Entry | null>(null);
  const [most, setMost] = useState(shownAtOnce);
  const pathOf = (entry: Entry) => joinPath(directory, segmentOf(entry));
  return (
    <>
      <table class="list files">
        <TableHead names={[t().common.name]} numbers={[words.size, words.changed]} hasActions />
        <tbody>
          {entries.slice(0, most).map((entry) => (
            <FileRow
              key={segmentOf(entry)}
              entry={entry}
              href={hrefOf(entry)}
              download={downloadUrl(agentId, pathOf(entry), entry.type === "directory" ? "zip" : undefined)}
              remove={setDeleting}
            />
          ))}
        </tbody>
      </table>
      {most < entries.length && <More load={() => setMost(most + 2000)}>{words.showMoreOf(entries.length)}</More>}
      {deleting && (
        <Confirm
          title={words.deleteTitle(showable(deleting.name))}
          action={t().common.delete}
          onClose={() => setDeleting(null)}
          act={() => removeFile(agentId, pathOf(deleting)).then(reload)}
        >
          <p>{deleting.type === "directory" ? words.deleteFolder : words.deleteFile}</p>
        </Confirm>
      )}
    </>
  );
}

interface FileRowProps {
  entry: Entry;
  href: string;
  download: string;
  remove: (entry: Entry) => void;
}

function FileRow({ entry, href, download, remove }: FileRowProps) {
  const words = t().files;
  const name = showable(entry.name);
  return (
    <tr>
      <td class="name">
        {entry.type === "file" || entry.type === "directory" ? (
          <Link href={href}>{entry.type === "directory" ? `${name}/` : name}</Link>
        ) : (
          name
        )}
        {entry.type !== "directory" && words.kinds[entry.type] && <span class="tag">{words.kinds[entry.type]}</span>}
      </td>
      <td class="number">{entry.type === "file" ? formatBytes(entry.size) : "–"}</td>
      <td class="number">
        <Ago time={entry.modifiedAt} />
      </td>
      <td class="number">
        {(entry.type === "file" || entry.type === "directory") && (
          <a href={download} download aria-label={words.downloadOne(name)}>
            {words.download}
          </a>
        )}
        <button type="button" class="quiet" aria-label={t().common.deleteOne(name)} onClick={() => remove(entry)}>
          {t().common.deleteAsk}
        </button>
      </td>
    </tr>
  );
}
