/** All runs, newest first, live; by agent, state and what started them. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Run } from "@berth/shared/resources";
import { t } from "../i18n/language.ts";
import { keepPlace } from "../kept/places.ts";
import { agentById, agents } from "../state/agents.ts";
import { formatCost, formatDuration } from "../text/format.ts";
import { loadRuns, newestFirst, runs } from "../state/live.ts";
import { Ago } from "../ui/ago.tsx";
import { Select } from "../ui/name-form.tsx";
import { Badge } from "../ui/badge.tsx";
import { inOneLine } from "../text/plain-text.ts";
import { go, Link, readFilters } from "../ui/router.tsx";
import { usePlace } from "../ui/use-answer.ts";
import { originWords, tellRun } from "../text/words.ts";
import { Failure, More } from "../ui/failure.tsx";
import { TableHead } from "../ui/table-head.tsx";
import { useAgain } from "../ui/use-task.ts";

const filterNames = ["agentId", "status", "triggerKind"] as const;
type FilterName = (typeof filterNames)[number];

export function RunsPage() {
  const words = t().lists;
  const { values, set, query } = readFilters(filterNames);
  const { agentId, status, triggerKind: kind } = values;
  const pages = useRunPages(query);
  const shown = [...runs.value.values()]
    .filter(
      (run) =>
        (!agentId || run.agentId === agentId) &&
        (!status || run.status === status) &&
        (!kind || run.trigger.kind === kind),
    )
    .filter((run) => pages.oldest === null || run.createdAt >= pages.oldest)
    .sort(newestFirst);
  return (
    <section class="page scroller">
      <div class="page-head">
        <h1>{words.runs}</h1>
        <Filters values={values} set={set} />
      </div>
      <Failure error={pages.failure} />
      {shown.length > 0 && <RunTable runs={shown} />}
      {shown.length === 0 && !pages.isLoading && pages.failure === null && (
        <p class="muted">{tellNone(query, pages.cursor !== null)}</p>
      )}
      {pages.cursor !== null && (
        <More load={() => pages.load(`cursor=${pages.cursor}&${query}`)} isLoading={pages.isLoading}>
          {words.olderRuns}
        </More>
      )}
    </section>
  );
}

function tellNone(query: string, goesOn: boolean): string {
  const words = t().lists;
  if (goesOn) return words.noneOfNewest;
  return query ? words.noneFit : words.noRuns;
}

interface FiltersProps {
  values: Record<FilterName, string>;
  set: (name: FilterName) => (value: string) => void;
}

function Filters({ values, set }: FiltersProps) {
  const words = t().lists;
  return (
    <div class="filters">
      <Select
        label={words.agent}
        value={values.agentId}
        set={set("agentId")}
        of={(agents.value ?? []).map(({ id, name }) => [id, name])}
        all={words.allAgents}
      />
      <Select
        label={words.state}
        value={values.status}
        set={set("status")}
        of={Object.entries(t().states.runs)}
        all={words.allStates}
      />
      <Select
        label={words.startedBy}
        value={values.triggerKind}
        set={set("triggerKind")}
        of={Object.entries(originWords()).map(([kind, [name]]) => [kind, name])}
        all={words.anyTrigger}
      />
    </div>
  );
}

function RunTable({ runs: shown }: { runs: Run[] }) {
  const words = t().lists;
  const origins = originWords();
  return (
    <table class="list runs">
      <TableHead names={[words.state, words.message, words.agent]} numbers={[words.took, words.cost, words.when]} />
      <tbody>
        {shown.map((run) => (
          <tr key={run.id} onClick={(event) => (event.target as Element).closest("a") ?? go(`/runs/${run.id}`)}>
            <td>
              <Badge told={tellRun(run)} />
            </td>
            <td class="message">
              <Link href={`/runs/${run.id}`}>{inOneLine(run.prompt) || words.emptyMessage}</Link>
              {origins[run.trigger.kind][1] && <span class="tag">{origins[run.trigger.kind][1]}</span>}
            </td>
            <td data-label={words.by}>{agentById(run.agentId)?.name ?? <span class="muted">{words.deleted}</span>}</td>
            <td class="number" data-label={words.took}>
              {run.startedAt && run.endedAt ? formatDuration(Date.parse(run.endedAt) - Date.parse(run.startedAt)) : "–"}
            </td>
            <td class="number">{formatCost(run.usage.costUsd)}</td>
            <td class="number">
              <Ago time={run.createdAt} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function useRunPages(query: string) {
  const left = usePlace(`runs ${query}`);
  const there = left.current as { cursor: string | null; oldest: string | null } | undefined;
  const [cursor, setCursor] = useState(there?.cursor ?? null);
  const [oldest, setOldest] = useState(there?.oldest ?? null);
  const [isLoading, setLoading] = useState(true);
  const [failure, setFailure] = useState<unknown>(null);
  const asked = useRef("");
  const load = async (wanted: string) => {
    asked.current = wanted;
    // What was there when it was left stays, beside what is new.
    const isRefresh = left.current !== undefined && wanted === query;
    left.current = undefined;
    setLoading(true);
    setFailure(null);
    try {
      const page = await loadRuns(wanted);
      // The filters have changed meanwhile.
      if (asked.current !== wanted) return;
      if (isRefresh) return setLoading(false);
      // What is older than the last page would show with gaps; of rare runs a page may hold none, and go on all the same.
      const from = page.nextCursor === null ? null : (page.items.at(-1)?.createdAt ?? oldest);
      keepPlace(`runs ${query}`, { cursor: page.nextCursor, oldest: from });
      setCursor(page.nextCursor);
      setOldest(from);
    } catch (error) {
      if (asked.current !== wanted) return;
      setFailure(error);
    }
    setLoading(false);
  };
  useEffect(() => void load(query), [query]);
  useAgain(failure, () => load(query));
  return { cursor, oldest, isLoading, failure, load };
}
