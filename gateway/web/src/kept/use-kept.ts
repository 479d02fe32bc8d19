/**
 * What a person wrote and has not saved: kept over other pages, reloads and the end of a session, until it is saved or given up.
 * All who draw it see the same.
 */
import { type Signal, signal } from "@preact/signals";
import { forgetPlaces } from "./places.ts";

const texts = new Map<string, Signal<string | null>>();
const held = new Map<string, Signal<unknown>>();
/** Names of what a reload would lose, so that it asks first. */
const losable = new Set<string>();
addEventListener("beforeunload", (event) => losable.size > 0 && event.preventDefault());

/** Has a reload ask first, or no more. */
export function noteLosable(name: string, isLosable: boolean): void {
  if (isLosable) losable.add(name);
  else losable.delete(name);
}

function ofKey<T>(all: Map<string, Signal<T>>, key: string, start: () => T): Signal<T> {
  const there = all.get(key) ?? signal(start());
  all.set(key, there);
  return there;
}

/** The text of this key, for who draws it and for who writes to it later. */
export function keptText(key: string) {
  const text = ofKey(texts, key, () => sessionStorage.getItem(key));
  const write = (next: string | null) => {
    text.value = next;
    noteLosable(key, false);
    try {
      if (next === null) sessionStorage.removeItem(key);
      else sessionStorage.setItem(key, next);
    } catch {
      // Longer than the browser keeps.
      noteLosable(key, true);
    }
  };
  return { text, write };
}

/** Null where nothing was written. A new `key` is another text. `forget` drops the text that it came with, not what was written since. */
export function useKept(key: string): [text: string | null, write: (text: string) => void, forget: () => void] {
  const { text, write } = keptText(key);
  const drawn = text.value;
  return [drawn, write, () => text.peek() === drawn && write(null)];
}

/** The same of several fields, over those of `start`; and whether anything was written. Only what is passed to `keep` is kept. */
export function useKeptFields<T extends object>(
  key: string,
  start: T,
): [draft: T, keep: (written: Partial<T>) => void, forget: () => void, isWritten: boolean] {
  const [kept, , forget] = useKept(key);
  const { text, write } = keptText(key);
  const keep = (written: Partial<T>) => write(JSON.stringify({ ...readFields<T>(text.peek()), ...written }));
  return [{ ...start, ...readFields<T>(kept) }, keep, forget, kept !== null];
}

/** What the field of a name is given. */
export type FieldOf<T> = (name: keyof T & string) => {
  name: string;
  value: string;
  onInput: (event: { currentTarget: { value: string } }) => void;
};

export const fieldOf =
  <T>(draft: T, keep: (written: Partial<T>) => void): FieldOf<T> =>
  (name) => ({
    name,
    value: draft[name] as string,
    onInput: (event) => keep({ [name]: event.currentTarget.value } as Partial<T>),
  });

/** What was kept of fields; none of what is no JSON. */
export function readFields<T>(kept: string | null): Partial<T> {
  try {
    return JSON.parse(kept ?? "{}") as Partial<T>;
  } catch {
    return {};
  }
}

/** As `useKept`, for what must not or cannot lie in the browser's storage: in memory alone. `empty` is nothing written. */
export function useHeld<T>(
  key: string,
  empty: T,
  isLosable = (value: T) => value !== empty,
): [T, (next: T | ((now: T) => T)) => void] {
  const value = ofKey<unknown>(held, key, () => empty) as Signal<T>;
  const write = (next: T | ((now: T) => T)) => {
    value.value = typeof next === "function" ? (next as (now: T) => T)(value.value) : next;
    noteLosable(key, isLosable(value.value));
  };
  return [value.value, write];
}

export function forgetHeld(): void {
  for (const key of held.keys()) losable.delete(key);
  held.clear();
}

const whose = "berth.user";

/** What another user wrote in this tab is not shown to this one. */
export function keepFor(userId: string): void {
  const before = sessionStorage.getItem(whose);
  if (before === userId) return;
  if (before !== null) {
    sessionStorage.clear();
    texts.clear();
    losable.clear();
    forgetHeld();
    forgetPlaces();
  }
  sessionStorage.setItem(whose, userId);
}
