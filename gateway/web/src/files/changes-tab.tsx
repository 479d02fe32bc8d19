/** What the agent's repository has changed since its last commit; the change of the chosen file opens below its name, and is in the address. */
import "../style/lists.css";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Change, Changes } from "@berth/shared/files";
import type { Agent } from "@berth/shared/resources";
import { ApiError } from "../api/api.ts";
import { t } from "../i18n/language.ts";
import { runOfAgent } from "../state/agents.ts";
import { showable } from "../text/plain-text.ts";
import { readDiff } from "../transcript/diff.ts";
import { FoldedDiffView, LineCount } from "../transcript/diff-view.tsx";
import { Failure, Loading, More } from "../ui/failure.tsx";
import { go, Link, search } from "../ui/router.tsx";
import { useAnswer, useLookedAtAgain } from "../ui/use-answer.ts";
import { listChanges, readChange } from "./files.ts";

export function ChangesTab({ agent }: { agent: Agent }) {
  const words = t().changes;
  const chosen = new URLSearchParams(search.value).get("file");
  const { found: changes, failure, load, round } = useAnswer(() => listChanges(agent.id), [agent.id, agent.directory]);
  useFollow(agent.id, load);
  const isGone = chosen !== null && changes && !changes.items.some(({ path }) => path === chosen);
  return (
    <div class="page scroller" tabIndex={0} role="region" aria-label={words.of(agent.name)}>
      <p class="actions">
        <button type="button" onClick={() => void load()}>
          {words.refresh}
        </button>
        {changes && changes.reason !== "no_repository" && (
          <span class="muted">{words.since(changes.branch && showable(changes.branch))}</span>
        )}
      </p>
      <Failure error={failure ?? (isGone && words.gone(showable(chosen)))} />
      {changes && <List agent={agent} changes={changes} chosen={chosen} round={round} />}
      {changes?.isComplete && changes.items.length === 0 && <p class="muted">{words.none}</p>}
      {changes?.reason && <p class="muted">{words.reasons[changes.reason]}</p>}
      {!changes && !failure && <Loading />}
    </div>
  );
}

/** Read again as a run of the agent begins or ends, and when the page is looked at again. */
function useFollow(agentId: string, load: () => Promise<void>): void {
  const runId = runOfAgent(agentId)?.id;
  const before = useRef(runId);
  useEffect(() => {
    if (before.current !== runId) void load();
    before.current = runId;
  }, [runId]);
  useLookedAtAgain(load);
}

interface ListProps {
  agent: Agent;
  changes: Changes;
  chosen: string | null;
  /** Another one for each time that the list was read. */
  round: number;
}
const shownAtOnce = 500;

function List({ agent, changes: { items, root }, chosen, round }: ListProps) {
  const [most, setMost] = useState(shownAtOnce);
  const here = `/agents/${agent.id}/changes`;
  const hrefOf = ({ path }: Change) => (path === chosen ? here : `${here}?file=${encodeURIComponent(path)}`);
  return (
    <>
      <ul class="changes">
        {items.slice(0, most).map((change) => (
          <li key={change.path}>
            <Row change={change} isOpen={change.path === chosen} toggle={() => go(hrefOf(change))} />
            {change.path === chosen && <Opened agentId={agent.id} change={change} root={root} round={round} />}
          </li>
        ))}
      </ul>
      {most < items.length && <More load={() => setMost(items.length)}>{t().files.showMoreOf(items.length)}</More>}
    </>
  );
}

function Row({ change, isOpen, toggle }: { change: Change; isOpen: boolean; toggle: () => void }) {
  const words = t().changes;
  const { additions, deletions, isBinary } = change;
  return (
    <div class="row">
      <button type="button" class="quiet" aria-expanded={isOpen} onClick={toggle}>
        {showable(change.path)}
      </button>
      <span class="tag">{words.statuses[change.status]}</span>
      {additions !== null && deletions !== null && !isBinary && <LineCount added={additions} removed={deletions} />}
      {change.from !== null && <span class="muted">{words.was(showable(change.from))}</span>}
    </div>
  );
}

interface OpenedProps {
  agentId: string;
  change: Change;
  root: string | null;
  round: number;
}

function Opened({ agentId, change, root, round }: OpenedProps) {
  const words = t().changes;
  const { found: diff, failure } = useAnswer(() => readChange(agentId, change.path), [round]);
  const lines = diff === null ? [] : readDiff(diff);
  const isGone = failure instanceof ApiError && failure.code === "not_found";
  const file = change.status === "deleted" || change.path.endsWith("/") ? null : fileHref(agentId, root, change.path);
  return (
    <div class="change">
      <Failure error={isGone ? words.gone(showable(change.path)) : failure} />
      {lines.length > 0 && <FoldedDiffView folded={lines} label={words.changeOf(showable(change.path))} />}
      {diff !== null && lines.length === 0 && <p class="muted">{change.isBinary ? words.binary : words.noLines}</p>}
      {diff !== null && /\n\\ The diff is over .*\n$/.test(diff.slice(-200)) && <p class="muted">{words.isCut}</p>}
      {diff === null && !failure && <Loading />}
      {file && (
        <p>
          <Link href={file}>{words.openFile}</Link>
        </p>
      )}
    </div>
  );
}

/** Where Files has it; null where that is not below the agent's directory. */
function fileHref(agentId: string, root: string | null, path: string): string | null {
  if (root === null) return null;
  const segments = `${root}/${path}`.split("/").filter(Boolean).map(encodeURIComponent);
  const query = new URLSearchParams({ dir: segments.slice(0, -1).join("/"), file: segments.at(-1) ?? "" });
  return `/agents/${agentId}/files?${query}`;
}
