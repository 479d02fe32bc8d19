/** A list of the API in pages, newest first. */
import { useEffect, useState } from "preact/hooks";
import { get, type Page } from "../api/api.ts";

interface Pages<T> {
  /** Null until the first page is here. */
  items: T[] | null;
  failure: unknown;
  reload: () => Promise<void>;
  /** Null at the end. */
  loadMore: (() => Promise<void>) | null;
}

/** The items at a path that has a query already. A new path begins anew. */
export function usePages<T>(path: string): Pages<T> {
  const [items, setItems] = useState<T[] | null>(null);
  const [cursor, setCursor] = useState<string | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  const load = async (from: string | null) => {
    try {
      const page = await get<Page<T>>(`${path}${from ? `&cursor=${from}` : ""}`);
      setItems((there) => (from ? [...(there ?? []), ...page.items] : page.items));
      setCursor(page.nextCursor);
      setFailure(null);
    } catch (error) {
      setFailure(error);
    }
  };
  useEffect(() => void load(null), [path]);
  return { items, failure, reload: () => load(null), loadMore: cursor === null ? null : () => load(cursor) };
}
