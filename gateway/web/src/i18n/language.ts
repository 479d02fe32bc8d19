/**
 * The language of the page: its catalogue is loaded when it is chosen, and no other. Whoever draws with `t()` draws again when
 * it changes. A further language is a catalogue beside the others and a line in both records.
 */
import { signal } from "@preact/signals";
import type * as enFirst from "./en.ts";
import type * as enMore from "./en-more.ts";

/** What every page says, and what only few say, which is loaded when one of them is. A sentence that a language lacks does not compile. */
interface Parts {
  first: () => Promise<typeof enFirst>;
  more: () => Promise<typeof enMore>;
}
export type Catalogue = typeof enFirst & typeof enMore;

const catalogues = {
  en: { first: () => import("./en.ts"), more: () => import("./en-more.ts") },
  ko: { first: () => import("./ko.ts"), more: () => import("./ko-more.ts") },
} satisfies Record<string, Parts>;
export type Language = keyof typeof catalogues;

/** Each in its own words. */
export const languageNames: Record<Language, string> = { en: "English", ko: "한국어" };

const spoken = signal<{ language: Language; words: Catalogue } | null>(null);
let wanted: Language | null = null;
let latest: Promise<void> = Promise.resolve();
let hasMore = false;

/** All words of the page in its language. There are none before the first `speak`. */
export const t = (): Catalogue => spoken.value!.words;
export const language = (): Language => spoken.value!.language;

/**
 * Words that belong to one thing of a kind (a runtime, a way of being called, a page), each language beside the other where that
 * thing stands. They are read where they are drawn.
 */
export const createWords =
  <Words>(words: Record<Language, Words>) =>
  (): Words =>
    words[language()];

/** Has the page speak this language; of two calls the later one counts. Throws where its catalogue cannot be loaded. */
export function speak(next: Language): Promise<void> {
  wanted = next;
  const words = Promise.all([catalogues[next].first(), hasMore ? catalogues[next].more() : null]);
  latest = words.then(([first, more]) => {
    if (wanted !== next) return latest;
    spoken.value = { language: next, words: { ...first, ...more } as Catalogue };
    return undefined;
  });
  return latest;
}

/** Has the page have the words of all pages, in whichever language. Throws as `speak`. */
export async function speakMore(): Promise<void> {
  if (hasMore) return latest;
  hasMore = true;
  try {
    await speak(wanted!);
  } catch (error) {
    hasMore = false;
    throw error;
  }
}

/** What was chosen, else the first of these languages (BCP 47, best first) that the page speaks, else English. */
export function chooseLanguage(chosen: string | null, wishes: readonly string[]): Language {
  const known = [chosen, ...wishes].map((wish) => wish?.split("-")[0]?.toLowerCase());
  return known.find((wish): wish is Language => wish !== undefined && Object.hasOwn(catalogues, wish)) ?? "en";
}
