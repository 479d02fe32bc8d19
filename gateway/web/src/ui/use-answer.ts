/** What the API answers: at once, or a list in pages, newest first; and when it is asked again. Neither the first page nor a conversation has it. */
import { useEffect, useRef, useState } from "preact/hooks";
import { get, type Page } from "../api/api.ts";
import { keepPlace, placeOf } from "../kept/places.ts";
import { hasComeBack } from "./router.tsx";
import { useAgain } from "./use-task.ts";

interface Pages<T> {
  /** Null until the first page is here. */
  items: T[] | null;
  failure: unknown;
  reload: () => Promise<void>;
  /** Null at the end. */
  loadMore: (() => Promise<void>) | null;
}

/** What was loaded of a list when it was left, for who comes back to it; once. */
export function usePlace(of: string): { current: unknown } {
  return useRef(hasComeBack() ? placeOf(of) : undefined);
}

/** The items at a path that has a query already. A new path begins anew. */
export function usePages<T>(path: string): Pages<T> {
  const left = usePlace(path);
  const there = left.current as { items: T[]; cursor: string | null } | undefined;
  const [items, setItems] = useState<T[] | null>(there?.items ?? null);
  const [cursor, setCursor] = useState<string | null>(there?.cursor ?? null);
  const [failure, setFailure] = useState<unknown>(null);
  const latest = useRef(path);
  latest.current = path;
  const load = async (from: string | null) => {
    try {
      const page = await get<Page<T>>(`${path}${from ? `&cursor=${from}` : ""}`);
      // Another path is asked for meanwhile.
      if (latest.current !== path) return;
      const all = from ? [...(items ?? []), ...page.items] : page.items;
      keepPlace(path, { items: all, cursor: page.nextCursor });
      setItems(all);
      setCursor(page.nextCursor);
      setFailure(null);
    } catch (error) {
      if (latest.current === path) setFailure(error);
    }
  };
  useEffect(() => {
    if (left.current) left.current = undefined;
    else void load(null);
  }, [path]);
  useAgain(failure, () => load(null));
  return { items, failure, reload: () => load(null), loadMore: cursor === null ? null : () => load(cursor) };
}

/** What `ask` answers, anew for other `keys` and by `load`; what was there stays until then. `round` counts the answers. */
export function useAnswer<T>(ask: () => Promise<T>, keys: unknown[] = []) {
  const [{ found, failure, round }, set] = useState({ found: null as T | null, failure: null as unknown, round: 0 });
  const newest = useRef<object | null>(null);
  const load = async () => {
    const mine = (newest.current = {});
    const answer = await ask().then(
      (one) => ({ found: one, failure: null }),
      (error: unknown) => ({ failure: error }),
    );
    if (newest.current === mine) set((before) => ({ ...before, ...answer, round: before.round + 1 }));
  };
  useEffect(() => {
    void load();
    return () => (newest.current = null);
  }, keys);
  useAgain(failure, load);
  return { found, failure, load, round };
}

/** Loads at first, for other `keys`, and again and again while the page is looked at. */
export function useEvery(ms: number, load: () => unknown, keys: unknown[] = []): void {
  useEffect(() => {
    void load();
    const timer = setInterval(() => document.visibilityState === "visible" && void load(), ms);
    return () => clearInterval(timer);
  }, keys);
}

/** Loads again when the page is looked at again. */
export function useLookedAtAgain(load: () => unknown): void {
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    const look = () => document.visibilityState === "visible" && void latest.current();
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, []);
}
