/** The entries of a directory, each with what can be done with it. */
import { useState } from "preact/hooks";
import { formatBytes } from "../text/format.ts";
import { Ago } from "../ui/ago.tsx";
import { Confirm } from "../ui/confirm.tsx";
import { showable } from "../text/plain-text.ts";
import { downloadUrl, joinPath, removeFile, segmentOf, type Entry } from "./files.ts";
import { TableHead } from "../ui/table-head.tsx";

interface FileTableProps {
  agentId: string;
  directory: string;
  entries: Entry[];
  open: (entry: Entry) => void;
  reload: () => Promise<void>;
}

const shownAtOnce = 500;
const kinds: Record<Entry["type"], string> = { file: "", directory: "folder", link: "link", other: "special" };

export function FileTable({ agentId, directory, entries, open, reload }: FileTableProps) {
  const [deleting, setDeleting] = useState<Entry | null>(null);
  const [most, setMost] = useState(shownAtOnce);
  const pathOf = (entry: Entry) => joinPath(directory, segmentOf(entry));
  return (
    <>
      <table class="list files">
        <TableHead names={["Name"]} numbers={["Size", "Changed"]} hasActions />
        <tbody>
          {entries.slice(0, most).map((entry) => (
            <FileRow
              key={segmentOf(entry)}
              entry={entry}
              href={downloadUrl(agentId, pathOf(entry), entry.type === "directory" ? "zip" : undefined)}
              open={open}
              remove={setDeleting}
            />
          ))}
        </tbody>
      </table>
      {most < entries.length && (
        <p>
          <button type="button" onClick={() => setMost(most + 2000)}>
            Show more of {entries.length}
          </button>
        </p>
      )}
      {deleting && (
        <Confirm
          title={`Delete ${showable(deleting.name)}?`}
          action="Delete"
          onClose={() => setDeleting(null)}
          act={() => removeFile(agentId, pathOf(deleting)).then(reload)}
        >
          <p>
            {deleting.type === "directory" ? "The folder goes with all that is in it." : "The file goes."} There is no
            way back.
          </p>
        </Confirm>
      )}
    </>
  );
}

interface FileRowProps {
  entry: Entry;
  href: string;
  open: (entry: Entry) => void;
  remove: (entry: Entry) => void;
}

function FileRow({ entry, href, open, remove }: FileRowProps) {
  const name = showable(entry.name);
  return (
    <tr>
      <td class="name">
        {entry.type === "file" || entry.type === "directory" ? (
          <button type="button" class="link" onClick={() => open(entry)}>
            {entry.type === "directory" ? `${name}/` : name}
          </button>
        ) : (
          name
        )}
        {kinds[entry.type] && entry.type !== "directory" && <span class="tag">{kinds[entry.type]}</span>}
      </td>
      <td class="number">{entry.type === "file" ? formatBytes(entry.size) : "–"}</td>
      <td class="number">
        <Ago time={entry.modifiedAt} />
      </td>
      <td class="number">
        {(entry.type === "file" || entry.type === "directory") && (
          <a href={href} download aria-label={`Download ${name}`}>
            Download
          </a>
        )}
        <button type="button" class="quiet" aria-label={`Delete ${name}`} onClick={() => remove(entry)}>
          Delete …
        </button>
      </td>
    </tr>
  );
}
