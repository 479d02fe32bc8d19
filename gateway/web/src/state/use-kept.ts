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
