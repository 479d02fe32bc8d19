/** All messages to one agent with what became of them, oldest first; stays at the newest line while that is in view. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { FunctionComponent } from "preact";
import type { Agent, Run } from "@berth/shared/resources";
import { runtimeFacts } from "@berth/shared/kinds/runtimes";
import { t } from "../i18n/language.ts";
import { keepPlace, placeOf } from "../kept/places.ts";
import { createReading } from "../kept/reading.ts";
import { runtimes } from "../runtimes/runtimes.ts";
import { openConversation } from "../state/agents.ts";
import { askedOf, loadRuns, runsByAgent } from "../state/live.ts";
import { tellRun } from "../text/words.ts";
import { Composer } from "./composer.tsx";
import { DownIcon } from "../ui/icons.tsx";
import { signal } from "@preact/signals";
import type { MessagesProps } from "./messages.tsx";
import { RunSection } from "./run-section.tsx";
import { Failure, Loading, More } from "../ui/failure.tsx";
import { search } from "../ui/router.tsx";
import { useAgain } from "../ui/use-task.ts";

export function Conversation({ agent }: { agent: Agent }) {
  const words = t().conversation;
  const history = useHistory(agent.id);
  const scroller = useRef<HTMLDivElement>(null);
  const { isAtEnd, toEnd, leaveEnd, keep } = useStickyEnd(scroller, history.left?.anchor ?? null, history.keep);
  // With its settings as they are now: they are what is started.
  useEffect(() => openConversation(agent.id), [agent.id, agent.updatedAt]);
  const runs = (runsByAgent.value.get(agent.id) ?? [])
    .filter((run) => history.oldest === null || run.createdAt >= history.oldest)
    .toReversed();
  const drawn = useMessages(history.hasMore || runs.length > mostWhole);
  const List = drawn ?? Whole;
  usePlace(drawn === null ? null : runs, history, leaveEnd);
  const wanted = new URLSearchParams(search.value).get("run") ?? history.left?.anchor?.runId ?? null;
  return (
    <div class={`conversation ${runtimeFacts[agent.runtime].isScript ? "script" : ""}`}>
      <div class="scroller" ref={scroller} tabIndex={0} role="region" aria-label={words.with(agent.name)}>
        <div class="thread">
          {history.hasMore && (
            <More class="earlier" load={history.loadMore} isLoading={history.isLoading}>
              {words.earlier}
            </More>
          )}
          <Failure error={history.failure} />
          <List runs={runs} wanted={wanted} onDrawn={() => keep.current()} />
          {runs.length === 0 && history.failure === null && <Empty agent={agent} isLoading={history.isLoading} />}
        </div>
      </div>
      <p role="status" class="sr-only">
        {announce(runs)}
      </p>
      {!isAtEnd && (
        <button type="button" class="to-end" onClick={toEnd} aria-label={words.toEnd}>
          <DownIcon />
        </button>
      )}
      <Composer key={agent.id} agent={agent} onSent={toEnd} />
    </div>
  );
}

/** A conversation of more is drawn in parts, by what is loaded for it. */
const mostWhole = 100;
const inParts = signal<FunctionComponent<MessagesProps> | null>(null);

/** What draws the messages; null while that is not here, and they are drawn whole meanwhile. */
function useMessages(isLong: boolean): FunctionComponent<MessagesProps> | null {
  const wasLong = useRef(false);
  wasLong.current ||= isLong;
  useEffect(() => {
    if (!isLong || inParts.value) return;
    // Slower without it, and nothing else.
    import("./messages.tsx").then(
      (it) => (inParts.value = it.Messages),
      () => (inParts.value = Whole),
    );
  }, [isLong]);
  return wasLong.current ? inParts.value : Whole;
}

function Whole({ runs }: MessagesProps) {
  return (
    <div class="messages">
      {runs.map((run) => (
        <RunSection key={run.id} run={run} />
      ))}
    </div>
  );
}

/** What is told aloud: of the run that asks, or else goes on; of those that wait for it nothing meanwhile. */
function announce(runs: Run[]): string {
  const run = runs.find(askedOf) ?? runs.find(isGoing) ?? runs.at(-1);
  return run ? `${tellRun(run).short}. ${tellRun(run).advice}` : "";
}

const isGoing = ({ endedAt, status }: Run) => endedAt === null && status !== "pending";

function Empty({ agent, isLoading }: { agent: Agent; isLoading: boolean }) {
  if (isLoading) return <Loading />;
  const { words, example } = runtimes[agent.runtime];
  const { emptyTitle, empty } = words();
  return (
    <div class="empty">
      <h2>{emptyTitle}</h2>
      {empty.map((paragraph) => (
        <p key={paragraph}>{paragraph}</p>
      ))}
      {example && (
        <p>
          <code>{example}</code>
        </p>
      )}
    </div>
  );
}

/** A message, and how far below the upper edge it stands. */
interface Anchor {
  runId: string;
  fromTop: number;
}
interface Place {
  cursor: string | null;
  oldest: string | null;
  /** Null at the end. */
  anchor: Anchor | null;
}

/** The agent's runs in pages, newest first; as many as there were when the conversation was left. */
function useHistory(agentId: string) {
  const [left] = useState(() => findPlace(agentId));
  const [cursor, setCursor] = useState(left?.cursor ?? null);
  const [oldest, setOldest] = useState(left?.oldest ?? null);
  const [isLoading, setLoading] = useState(true);
  const [failure, setFailure] = useState<unknown>(null);
  const last = useRef("");
  const load = async (query: string) => {
    last.current = query;
    setLoading(true);
    try {
      const page = await loadRuns(`agentId=${agentId}${query}`);
      if (query || !left) {
        setCursor(page.nextCursor);
        setOldest(page.nextCursor === null ? null : (page.items.at(-1)?.createdAt ?? null));
      }
      setFailure(null);
    } catch (error) {
      setFailure(error);
    }
    setLoading(false);
  };
  useEffect(() => void load(""), [agentId]);
  useAgain(failure, () => load(last.current));
  const now = useRef({ cursor, oldest });
  now.current = { cursor, oldest };
  const keep = (anchor: Anchor | null) => keepPlace(`conversation ${agentId}`, { ...now.current, anchor });
  return {
    left,
    keep,
    hasMore: cursor !== null,
    oldest,
    isLoading,
    failure,
    loadMore: () => load(`&cursor=${cursor}`),
  };
}

/** Where this conversation was left, while its messages are still there. */
function findPlace(agentId: string): Place | undefined {
  const place = placeOf(`conversation ${agentId}`) as Place | undefined;
  const isThere = place?.anchor && runsByAgent.value.get(agentId)?.some(({ id }) => id === place.anchor?.runId);
  return isThere ? place : undefined;
}

/** Shows the message that the address names, however far back it stands. */
function usePlace(runs: Run[] | null, history: ReturnType<typeof useHistory>, leaveEnd: () => void): void {
  const runId = new URLSearchParams(search.value).get("run");
  const isHere = runs?.some((run) => run.id === runId);
  /** Once: the reader goes on from there. */
  const shown = useRef<string | null>(null);
  useEffect(() => {
    if (runId === null) shown.current = null;
    if (runId === null || runId === shown.current || runs === null || history.isLoading || history.failure !== null)
      return;
    if (!isHere) return void (history.hasMore && history.loadMore());
    shown.current = runId;
    leaveEnd();
    const message = document.getElementById(runId)!;
    message.scrollIntoView();
    message.focus({ preventScroll: true });
  }, [runId, isHere, history.isLoading, runs === null]);
}

/** Keeps the end in view while it is there; a person who scrolls up stays where they are, also after having been elsewhere. */
function useStickyEnd(
  scroller: { current: HTMLDivElement | null },
  start: Anchor | null,
  onLeave: (anchor: Anchor | null) => void,
) {
  const [isAtEnd, setAtEnd] = useState(start === null);
  const sticks = useRef(start === null);
  /** What is held in its place, until a person scrolls: what stands above it may still grow. */
  const held = useRef(start);
  /** Called whenever something was drawn. */
  const keep = useRef(() => {});
  const toEnd = () => {
    held.current = null;
    sticks.current = true;
    setAtEnd(true);
    if (scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  };
  useLayoutEffect(() => {
    const box = scroller.current!;
    const reading = createReading(box, () => box.querySelector(".messages"));
    let height = 0;
    keep.current = () => {
      if (sticks.current) height = box.scrollTop = box.scrollHeight;
      else if (held.current) hold(box, held.current);
      else return reading.settle();
      reading.note();
    };
    const observer = new ResizeObserver(keep.current);
    const note = () => {
      if (held.current) return reading.note();
      // A scroll that comes of growth is not a person's.
      const hasGrown = box.scrollHeight !== height;
      height = box.scrollHeight;
      const isNear = box.scrollHeight - box.scrollTop - box.clientHeight < 60;
      if (!hasGrown || !sticks.current || isNear) {
        sticks.current = isNear;
        setAtEnd(isNear);
      }
      if (!sticks.current) reading.settle();
    };
    const act = (event: Event) => {
      held.current = null;
      const isUp = event instanceof WheelEvent && event.deltaY < 0;
      if (isUp && box.scrollHeight > box.clientHeight) sticks.current = false;
    };
    leapByKeys(box, toEnd, () => (sticks.current = false));
    observer.observe(box.firstElementChild!);
    observer.observe(box);
    // Before what stands in it draws more, or less.
    box.addEventListener("scroll", note, { passive: true, capture: true });
    for (const one of ["wheel", "pointerdown", "keydown"]) box.addEventListener(one, act, { passive: true });
    return () => {
      observer.disconnect();
      onLeave(sticks.current ? null : (held.current ?? anchorOf(box)));
    };
  }, []);
  const leaveEnd = () => {
    held.current = null;
    sticks.current = false;
  };
  return { isAtEnd, toEnd, leaveEnd, keep };
}

/** Home and End at once: on the way what is drawn would move the end, and what holds the reader's place would stop the way. */
function leapByKeys(box: HTMLElement, toEnd: () => void, onHome: () => void): void {
  box.addEventListener("keydown", (event) => {
    if (event.target !== box || !["Home", "End"].includes(event.key)) return;
    event.preventDefault();
    if (event.key === "End") return toEnd();
    onHome();
    box.scrollTop = 0;
  });
}

/** The first message in view. */
function anchorOf(box: Element): Anchor | null {
  const edge = box.getBoundingClientRect().top;
  const first = [...box.querySelectorAll(".run")].find((run) => run.getBoundingClientRect().bottom > edge);
  return first ? { runId: first.id, fromTop: first.getBoundingClientRect().top - edge } : null;
}

function hold(box: Element, { runId, fromTop }: Anchor): void {
  const run = document.getElementById(runId);
  if (run) box.scrollTop += run.getBoundingClientRect().top - box.getBoundingClientRect().top - fromTop;
}
