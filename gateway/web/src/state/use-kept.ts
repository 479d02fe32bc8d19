/** Text that a person wrote and has not saved: kept over other tabs of the page and reloads, until it is saved or given up. */
import { useState } from "preact/hooks";

/** Null where nothing was written. A new `key` is another text. */
export function useKept(key: string): [string | null, (text: string) => void, () => void] {
  const [kept, setKept] = useState(() => ({ key, text: sessionStorage.getItem(key) }));
  const text = kept.key === key ? kept.text : sessionStorage.getItem(key);
  const write = (next: string | null) => {
    setKept({ key, text: next });
    try {
      if (next === null) sessionStorage.removeItem(key);
      else sessionStorage.setItem(key, next);
    } catch {
      // Too long to keep; it is still in the field.
    }
  };
  return [text, write, () => write(null)];
}

/** The same of several fields, over those of `start`; and whether anything was written. */
export function useKeptFields<T extends object>(
  key: string,
  start: T,
): [draft: T, keep: (next: T) => void, forget: () => void, isWritten: boolean] {
  const [kept, keep, forget] = useKept(key);
  return [{ ...start, ...readFields<T>(kept) }, (next) => keep(JSON.stringify(next)), forget, kept !== null];
}

function readFields<T>(kept: string | null): Partial<T> {
  try {
    return JSON.parse(kept ?? "{}") as Partial<T>;
  } catch {
    return {};
  }
}

const held = new Map<string, unknown>();
addEventListener("beforeunload", (event) => held.size > 0 && event.preventDefault());

/** As `useKept`, for what must not lie in the browser's storage: in memory alone, so that a reload asks first. `empty` is nothing written. */
export function useHeld<T>(key: string, empty: T): [T, (next: T) => void] {
  const [value, setValue] = useState((held.get(key) as T | undefined) ?? empty);
  const write = (next: T) => {
    if (next === empty) held.delete(key);
    else held.set(key, next);
    setValue(next);
  };
  return [value, write];
}

export const forgetHeld = () => held.clear();
