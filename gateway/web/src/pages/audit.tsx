/** For admins: who did what, on what, from where. */
import { useState } from "preact/hooks";
import type { AuditEntry } from "@berth/shared/audit";
import { auditActions } from "@berth/shared/audit-actions";
import { formatTime } from "../text/format.ts";
import { usePages } from "../ui/use-pages.ts";
import { Failure } from "../ui/failure.tsx";
import { TableHead } from "../ui/table-head.tsx";

export function AuditPage() {
  const [actor, setActor] = useState("");
  const [action, setAction] = useState("");
  const [outcome, setOutcome] = useState("");
  const query = new URLSearchParams(
    Object.entries({ actor: actor.trim(), action, outcome }).filter(([, value]) => value),
  ).toString();
  const { items, failure, loadMore } = usePages<AuditEntry>(`/v1/admin/audit?limit=100&${query}`);
  return (
    <section class="page scroller" tabIndex={0} aria-label="Audit">
      <div class="page-head">
        <h1>Audit</h1>
        <div class="filters">
          <input
            aria-label="By whom"
            placeholder="By whom"
            value={actor}
            onChange={(event) => setActor(event.currentTarget.value)}
          />
          <select aria-label="Action" value={action} onChange={(event) => setAction(event.currentTarget.value)}>
            <option value="">All actions</option>
            {auditActions.map((one) => (
              <option key={one} value={one}>
                {wordsOf(one)}
              </option>
            ))}
          </select>
          <select aria-label="Outcome" value={outcome} onChange={(event) => setOutcome(event.currentTarget.value)}>
            <option value="">Any outcome</option>
            <option value="succeeded">Succeeded</option>
            <option value="refused">Refused</option>
          </select>
        </div>
      </div>
      <Failure words={failure} />
      {items && items.length > 0 && <AuditTable items={items} />}
      {items?.length === 0 && (
        <p class="muted">
          {loadMore ? "Nothing among the newest entries fits these filters." : "Nothing fits these filters."}
        </p>
      )}
      {loadMore && (
        <p>
          <button type="button" onClick={() => void loadMore()}>
            Older entries
          </button>
        </p>
      )}
    </section>
  );
}

const wordsOf = (action: string) => {
  const words = action.replace(/[._]/g, " ");
  return words[0]!.toUpperCase() + words.slice(1);
};

/** What was written down beside who, what and on what: names in words, times as everywhere. */
function factsOf({ actor, detail }: AuditEntry): string {
  const facts = Object.entries(detail).filter(([, value]) => value !== null && value !== actor.id);
  return facts
    .map(([name, value]) => `${name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)} ${told(value)}`)
    .join(", ");
}

const told = (value: AuditEntry["detail"][string]) =>
  typeof value === "string" && /^\d{4}-\d\d-\d\dT/.test(value) ? formatTime(value) : String(value);

function AuditTable({ items }: { items: AuditEntry[] }) {
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label="Entries">
      <table class="list audit">
        <TableHead names={["When", "Who", "What", "On what", "From", "Facts"]} />
        <tbody>
          {items.map((entry) => (
            <tr key={entry.id}>
              <td>
                <time dateTime={entry.at}>{formatTime(entry.at)}</time>
              </td>
              <td class="name">
                {entry.actor.name ?? entry.actor.id ?? entry.actor.kind}
                {entry.actor.kind === "token" && <span class="tag">by token</span>}
              </td>
              <td class={entry.outcome === "refused" ? "failure" : ""}>
                {wordsOf(entry.action)}
                {entry.outcome === "refused" && ", refused"}
              </td>
              <td class="name" data-label="on">
                {entry.target?.name ?? entry.target?.id ?? "–"}
              </td>
              <td data-label="from">{entry.address ?? "–"}</td>
              <td class="facts muted">{factsOf(entry)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
