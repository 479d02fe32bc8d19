/**
 * The messages of a conversation. Of a long one only those near the view are drawn, and those that a person has to do with. Any
 * other is a box of its height, and where all of a group are far one box is all of them; the browser's search finds the text there.
 */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Run } from "@berth/shared/resources";
import { firstBelow } from "../kept/reading.ts";
import { memo } from "../transcript/memo.ts";
import { RunSection } from "./run-section.tsx";

/** A conversation of no more is drawn whole. */
const mostWhole = 100;
const groupSize = 50;
/** Further than anybody scrolls between two frames. */
const nearPx = { group: 4000, message: 2000 };

export interface MessagesProps {
  runs: Run[];
  /** The id of a message that is drawn wherever it stands. */
  wanted: string | null;
  /** Called when other messages are drawn than before. */
  onDrawn: () => void;
}

export function Messages({ runs, wanted, onDrawn }: MessagesProps) {
  const list = useRef<HTMLDivElement>(null);
  const [heights] = useState(() => new Map<string, number>());
  const groups = useGroups(runs);
  const { near, found } = useNear(list, [...groups.keys()], {
    nearPx: nearPx.group,
    heights,
    onDrawn,
    startsDrawn: false,
  });
  const isWhole = runs.length <= mostWhole;
  const shared = { startsDrawn: near === null, heights, onDrawn };
  return (
    <div class="messages" ref={list}>
      {[...groups].map(([key, members], at) =>
        isWhole || (near?.has(key) ?? at === groups.size - 1) || members.some((run) => isHeld(run, wanted)) ? (
          <Group
            key={key}
            {...shared}
            isWhole={isWhole || found.has(key)}
            runs={members}
            wanted={members.some(({ id }) => id === wanted) ? wanted : null}
          />
        ) : (
          <Far key={key} runs={members} heightPx={heights.get(key)} />
        ),
      )}
    </div>
  );
}

const isHeld = ({ id, endedAt }: Run, wanted: string | null) => endedAt === null || id === wanted;

/** Groups whose members stay the same while others come before or after them. */
function useGroups(runs: Run[]): Map<string, Run[]> {
  const first = useRef<string | undefined>(undefined);
  first.current ??= runs.at(-1)?.id;
  const from = runs.findIndex(({ id }) => id === first.current);
  return Map.groupBy(runs, (_, at) => `group ${Math.floor((at - from) / groupSize)}`);
}

interface GroupProps extends MessagesProps {
  isWhole: boolean;
  startsDrawn: boolean;
  heights: Map<string, number>;
}

const Group = memo(
  function Group({ runs, wanted, isWhole, ...rest }: GroupProps) {
    const list = useRef<HTMLDivElement>(null);
    const ids = runs.map(({ id }) => id);
    const { near } = useNear(list, ids, { nearPx: nearPx.message, ...rest });
    return (
      <div class="group" ref={list}>
        {runs.map((run) =>
          isWhole || (near?.has(run.id) ?? rest.startsDrawn) || isHeld(run, wanted) ? (
            <RunSection key={run.id} run={run} />
          ) : (
            <Far key={run.id} runs={[run]} heightPx={rest.heights.get(run.id)} />
          ),
        )}
      </div>
    );
  },
  (before, after) =>
    before.isWhole === after.isWhole && before.wanted === after.wanted && isSame(before.runs, after.runs),
);

const isSame = (before: Run[], after: Run[]) =>
  before.length === after.length && before.every((run, at) => run === after[at]);

interface Nearness {
  nearPx: number;
  /** How high each was that is not drawn any more. */
  heights: Map<string, number>;
  startsDrawn: boolean;
  onDrawn: () => void;
}

/** Which of the children of `list`, by their keys, are to be drawn, null before it was looked; and which the browser's search found. */
function useNear(
  list: { current: HTMLElement | null },
  keys: string[],
  { nearPx, heights, startsDrawn, onDrawn }: Nearness,
) {
  const [near, setNear] = useState<ReadonlySet<string> | null>(null);
  const [touched] = useState(() => new Set<string>());
  const [found] = useState(() => new Set<string>());
  const now = useRef({ near, keys });
  now.current = { near, keys };
  useLayoutEffect(onDrawn, [near]);
  useLayoutEffect(() => {
    const box = list.current!.closest<HTMLElement>(".scroller")!;
    const look = () => {
      const { near: before, keys: all } = now.current;
      if (!list.current) return;
      const next = new Set([...touched, ...findNear(box, list.current, nearPx).map((at) => all[at]!)]);
      for (const at of findSelected(list.current)) if (before?.has(all[at]!)) next.add(all[at]!);
      if (before?.size === next.size && [...next].every((key) => before.has(key))) return;
      for (const [at, key] of all.entries())
        if (before?.has(key) && !next.has(key))
          heights.set(key, list.current.children[at]!.getBoundingClientRect().height);
      setNear(next);
    };
    // What a person opened, wrote or found stays drawn.
    const touch = ({ target, type }: Event) => {
      const at = [...list.current!.children].findIndex((child) => child.contains(target as Node));
      if (at < 0) return;
      touched.add(now.current.keys[at]!);
      if (type === "beforematch") found.add(now.current.keys[at]!);
      look();
    };
    for (const act of ["focusin", "click", "beforematch"]) list.current!.addEventListener(act, touch);
    // What is drawn has another height than was guessed: the view may show more, or less, a frame later.
    const observer = new ResizeObserver(() => requestAnimationFrame(look));
    observer.observe(list.current!);
    observer.observe(box);
    box.addEventListener("scroll", look, { passive: true });
    if (!startsDrawn) look();
    return () => {
      observer.disconnect();
      box.removeEventListener("scroll", look);
    };
  }, []);
  return { near, found };
}

/** The indices of those in and about the view. */
function findNear(box: Element, { children }: Element, nearPx: number): number[] {
  const { top, bottom } = box.getBoundingClientRect();
  const found: number[] = [];
  for (let at = firstBelow(children, top - nearPx); at < children.length; at++) {
    if (children[at]!.getBoundingClientRect().top > bottom + nearPx) break;
    found.push(at);
  }
  return found;
}

/** The indices of those that are part of what a person selected. */
function findSelected({ children }: Element): number[] {
  const selection = getSelection();
  if (!selection || selection.isCollapsed) return [];
  return [...children].flatMap((child, at) => (selection.containsNode(child, true) ? at : []));
}

/** Messages that are not drawn: a box of the height that they had, or of one that is guessed. */
const Far = memo(
  function Far({ runs, heightPx }: { runs: Run[]; heightPx: number | undefined }) {
    const text = runs.map(({ prompt, result }) => `${prompt}\n${result ?? ""}\n`).join("");
    const height = heightPx ?? 120 * runs.length + 20 * text.split("\n").length;
    return (
      <div class="far" hidden="until-found" style={{ height: `${height}px` }}>
        {text}
      </div>
    );
  },
  (before, after) => isSame(before.runs, after.runs),
);
