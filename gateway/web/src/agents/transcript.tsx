/**
 * The items of a run. They are drawn in chunks, and of a long transcript only those chunks near the view: each that is far
 * away is an empty box of the height it had, so that 20,000 events cost no more than a screenful.
 */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { memo } from "../transcript/memo.ts";
import type { RunLog } from "../state/run-logs.ts";
import { chunkSize } from "../transcript/fold.ts";
import { ItemView } from "../transcript/item-view.tsx";
import type { Item } from "../transcript/items.ts";

const guessedHeight = chunkSize * 40;

export function Transcript({ log, isLive }: { log: RunLog; isLive: boolean }) {
  // Read so that this draws again with every change.
  void log.version.value;
  const { items, chunkRevs } = log.fold;
  const watchChunk = useChunkWatch();
  const isLong = items.length > 4 * chunkSize;
  return (
    <div class="transcript">
      {chunkRevs.map((rev, at) => (
        <Chunk
          key={at}
          items={items}
          at={at}
          rev={rev}
          watch={isLong ? watchChunk : null}
          isLive={isLive}
          startsNear={at >= chunkRevs.length - 2}
        />
      ))}
    </div>
  );
}

type Watch = (element: Element, tell: (isNear: boolean) => void) => () => void;
interface ChunkProps {
  items: Item[];
  at: number;
  rev: number;
  /** Null where the whole transcript is drawn. */
  watch: Watch | null;
  isLive: boolean;
  startsNear: boolean;
}

const Chunk = memo(
  function Chunk({ items, at, watch, isLive, startsNear }: ChunkProps) {
    const element = useRef<HTMLDivElement>(null);
    const height = useRef(guessedHeight);
    const [isNear, setNear] = useState(startsNear);
    const isDrawn = isNear || watch === null;
    useEffect(() => {
      if (!watch || !element.current) return;
      return watch(element.current, (near) => {
        const box = element.current;
        if (!near && box?.contains(document.activeElement)) return;
        if (!near && box) height.current = box.offsetHeight || guessedHeight;
        setNear(near);
      });
    }, [watch]);
    useLayoutEffect(() => {
      if (element.current) element.current.style.height = isDrawn ? "" : `${height.current}px`;
    }, [isDrawn]);
    return (
      <div class="chunk" ref={element}>
        {isDrawn &&
          items
            .slice(at * chunkSize, (at + 1) * chunkSize)
            .map((item, index) => <DrawnItem key={index} item={item} rev={item.rev} isLive={isLive} />)}
      </div>
    );
  },
  (before, after) =>
    before.rev === after.rev &&
    before.isLive === after.isLive &&
    (before.watch === null) === (after.watch === null) &&
    before.items === after.items,
);

const DrawnItem = memo(
  function DrawnItem({ item, isLive }: { item: Item; rev: number; isLive: boolean }) {
    return <ItemView item={item} isLive={isLive} />;
  },
  (before, after) => before.item === after.item && before.rev === after.rev && before.isLive === after.isLive,
);

/** One observer for all chunks of a transcript, over the box that scrolls them. */
function useChunkWatch(): Watch {
  const [watch] = useState(createChunkWatch);
  useEffect(() => () => watch.stop(), [watch]);
  return watch.start;
}

function createChunkWatch() {
  const tellers = new Map<Element, (isNear: boolean) => void>();
  let observer: IntersectionObserver | null = null;
  const observe = (element: Element) => {
    const tell = (entries: IntersectionObserverEntry[]) =>
      entries.forEach((entry) => tellers.get(entry.target)?.(entry.isIntersecting));
    observer ??= new IntersectionObserver(tell, { root: element.closest(".scroller"), rootMargin: "1200px 0px" });
    observer.observe(element);
  };
  const start: Watch = (element, tell) => {
    tellers.set(element, tell);
    observe(element);
    return () => {
      tellers.delete(element);
      observer?.unobserve(element);
    };
  };
  return { start, stop: () => observer?.disconnect() };
}
