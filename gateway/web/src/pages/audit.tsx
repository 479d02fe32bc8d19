/** For admins: who did what, on what, from where. */
import { useEffect, useState } from "preact/hooks";
import type { AuditEntry } from "@berth/shared/audit";
import { auditActions } from "@berth/shared/audit-actions";
import type { RuntimeName } from "@berth/shared/kinds/runtimes";
import type { User } from "@berth/shared/users";
import type { TriggerScheme } from "@berth/shared/webhooks";
import { t } from "../i18n/language.ts";
import { runtimes } from "../runtimes/runtimes.ts";
import { agentById } from "../state/agents.ts";
import { formatBytes, formatCost, formatTime } from "../text/format.ts";
import { nameOfScheme } from "../triggers/schemes.tsx";
import { Select } from "../ui/name-form.tsx";
import { readFilters } from "../ui/router.tsx";
import { usePages } from "../ui/use-answer.ts";
import { Failure, More } from "../ui/failure.tsx";
import { TableHead } from "../ui/table-head.tsx";

export function AuditPage() {
  const words = t().audit;
  const { values, set, query } = readFilters(["actor", "action", "outcome"]);
  const { actor, action, outcome } = values;
  const { items, failure, loadMore } = usePages<AuditEntry>(`/v1/admin/audit?limit=100&${query}`);
  return (
    <section class="page scroller" tabIndex={0} aria-label={words.title}>
      <div class="page-head">
        <h1>{words.title}</h1>
        <div class="filters">
          <ByWhom actor={actor} set={set("actor")} />
          <Select
            label={words.action}
            value={action}
            set={set("action")}
            of={auditActions.map((one) => [one, words.actions[one]])}
            all={words.allActions}
          />
          <Select
            label={words.outcome}
            value={outcome}
            set={set("outcome")}
            of={[
              ["succeeded", words.succeeded],
              ["refused", words.refused],
            ]}
            all={words.anyOutcome}
          />
        </div>
      </div>
      <Failure error={failure} />
      {items && items.length > 0 && <AuditTable items={items} />}
      {items?.length === 0 && <p class="muted">{loadMore ? words.noneOfNewest : words.noneFit}</p>}
      {loadMore && <More load={loadMore}>{words.older}</More>}
    </section>
  );
}

/** What is typed stays while the list comes; it counts once the field is left. */
function ByWhom({ actor, set }: { actor: string; set: (actor: string) => void }) {
  const label = t().audit.byWhom;
  const [text, setText] = useState(actor);
  useEffect(() => setText(actor), [actor]);
  return (
    <input
      aria-label={label}
      placeholder={label}
      value={text}
      onInput={(event) => setText(event.currentTarget.value)}
      onChange={(event) => set(event.currentTarget.value)}
    />
  );
}

type Fact = AuditEntry["detail"][string];

/** What was written down beside who, what and on what: names in words, times as everywhere. */
function factsOf({ actor, detail }: AuditEntry): string {
  const { names } = t().audit;
  const isNamed = (name: string) => name.endsWith("Id") && Object.hasOwn(detail, name.slice(0, -2));
  const saysMore = ([name, value]: [string, Fact]) =>
    value !== "" && value !== actor.id && !isNamed(name) && (value !== null || Object.hasOwn(t().users.limits, name));
  const facts = Object.entries(detail).filter(saysMore);
  return facts.map(([name, value]) => `${names[name] ?? name}: ${told(name, value)}`).join(" · ");
}

function told(name: string, value: Fact): string {
  const { names, yes, no, ofHost } = t().audit;
  if (value === null) return ofHost;
  if (typeof value === "boolean") return value ? yes : no;
  if (typeof value === "number") return (inUnits[name] ?? String)(value);
  if (name === "changed") return t().common.list(value.split(", ").map((field) => names[field] ?? field));
  if (/^\d{4}-\d\d-\d\dT/.test(value)) return formatTime(value);
  return inWords[name]?.(value) ?? value;
}

const inUnits: Record<string, (value: number) => string> = {
  memoryBytes: formatBytes,
  diskBytes: formatBytes,
  dailyBudgetUsd: formatCost,
};

/** What the API has a word of its own for, as the page says it elsewhere; undefined where that is not known. */
const inWords: Record<string, (value: string) => string | undefined> = {
  agentId: (id) => agentById(id)?.name,
  method: (method) => t().audit.methods[method],
  role: (role) => t().common.roles[role as User["role"]],
  runtime: (runtime) => runtimes[runtime as RuntimeName]?.words().name,
  scheme: (scheme) => nameOfScheme(scheme as TriggerScheme),
};

function AuditTable({ items }: { items: AuditEntry[] }) {
  const words = t().audit;
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label={words.entries}>
      <table class="list audit">
        <TableHead names={[words.when, words.who, words.what, words.onWhat, words.from, words.facts]} />
        <tbody>
          {items.map((entry) => (
            <AuditRow key={entry.id} entry={entry} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function AuditRow({ entry }: { entry: AuditEntry }) {
  const words = t().audit;
  const { actor, outcome, target } = entry;
  const action = words.actions[entry.action];
  return (
    <tr>
      <td>
        <time dateTime={entry.at}>{formatTime(entry.at)}</time>
      </td>
      <td class="name">
        {actor.name ?? actor.id ?? words.kinds[actor.kind]}
        {actor.kind === "token" && <span class="tag">{words.byToken}</span>}
      </td>
      <td class={outcome === "refused" ? "failure" : ""}>{outcome === "refused" ? words.isRefused(action) : action}</td>
      <td class="name" data-label={target ? words.on : undefined}>
        {target?.name ?? target?.id ?? "–"}
      </td>
      <td data-label={words.fromLabel}>{entry.address ?? "–"}</td>
      <td class="facts muted">{factsOf(entry)}</td>
    </tr>
  );
}
