/** Search over all conversations: messages by words of what was asked and what was answered. */
import "../style/few.css";
import type { Run } from "@berth/shared/resources";
import { t } from "../i18n/language.ts";
import { useKept } from "../kept/use-kept.ts";
import { agentById } from "../state/agents.ts";
import { tellRun } from "../text/words.ts";
import { Ago } from "../ui/ago.tsx";
import { Badge } from "../ui/badge.tsx";
import { Failure, More } from "../ui/failure.tsx";
import { inOneLine } from "../text/plain-text.ts";
import { go, Link, search } from "../ui/router.tsx";
import { usePages } from "../ui/use-answer.ts";

export function SearchPage() {
  const words = t().search;
  const asked = new URLSearchParams(search.value).get("q")?.trim() ?? "";
  const [kept, setTyped, forget] = useKept(`berth.search.${asked}`);
  const typed = kept ?? asked;
  const submit = (event: Event) => {
    event.preventDefault();
    forget();
    go(`/search?q=${encodeURIComponent(typed.trim())}`, { replace: asked === "" });
  };
  return (
    <section class="page scroller" tabIndex={0} aria-label={words.title}>
      <h1>{words.title}</h1>
      <form class="inline" role="search" onSubmit={submit}>
        <input
          type="search"
          aria-label={words.field}
          placeholder={words.placeholder}
          maxLength={200}
          value={typed}
          onInput={(event) => setTyped(event.currentTarget.value)}
        />
        <button type="submit" class="primary">
          {words.submit}
        </button>
      </form>
      {asked && <Results key={asked} asked={asked} />}
    </section>
  );
}

function Results({ asked }: { asked: string }) {
  const { items, failure, loadMore } = usePages<Run>(`/v1/search?limit=20&q=${encodeURIComponent(asked)}`);
  const words = asked.match(/[\p{L}\p{N}\p{M}]+/gu) ?? [];
  return (
    <>
      <Failure error={failure} />
      {items?.length === 0 && <p class="muted">{t().search.none}</p>}
      <ul class="found">
        {items?.map((run) => (
          <li key={run.id}>
            <p>
              <Link href={placeOf(run)}>{inOneLine(run.prompt).slice(0, 120) || t().lists.emptyMessage}</Link>
            </p>
            <Excerpt texts={[run.result ?? "", run.prompt]} words={words} />
            <p class="muted">
              {agentById(run.agentId)?.name ?? t().lists.deleted} · <Badge told={tellRun(run)} quiet />{" "}
              <Ago time={run.createdAt} />
            </p>
          </li>
        ))}
      </ul>
      {loadMore && <More load={loadMore}>{t().search.older}</More>}
    </>
  );
}

/** Where the message stands in its conversation; a deleted agent's by itself. */
const placeOf = ({ id, agentId }: Run) => (agentById(agentId) ? `/agents/${agentId}?run=${id}` : `/runs/${id}`);

/** What stands around the first of the words. */
function Excerpt({ texts, words }: { texts: string[]; words: string[] }) {
  const places = (line: string) =>
    words
      .map((word) => ({ at: line.toLowerCase().indexOf(word.toLowerCase()), length: word.length }))
      .filter(({ at }) => at >= 0);
  const lines = texts.map((text) => inOneLine(text, 10_000));
  const line = lines.find((one) => places(one).length > 0) ?? "";
  const [first] = places(line).toSorted((a, b) => a.at - b.at);
  if (!first) return null;
  const { at, length } = first;
  const from = Math.max(0, at - 80);
  return (
    <p class="excerpt">
      {from > 0 && "… "}
      {line.slice(from, at)}
      <mark>{line.slice(at, at + length)}</mark>
      {line.slice(at + length, at + length + 120)}
      {at + length + 120 < line.length && " …"}
    </p>
  );
}
