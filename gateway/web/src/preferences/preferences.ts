/** How a person wants the page: its language, its theme, terminals read aloud; kept in this browser, the same in all of its tabs. */
import { signal } from "@preact/signals";
import { chooseLanguage, speak, type Language } from "../i18n/language.ts";

/** `null` follows the system. */
export type Theme = "light" | "dark";
const places = { language: "berth.language", theme: "berth.theme", aloud: "berth.aloud" };

const darkWish = matchMedia("(prefers-color-scheme: dark)");
export const theme = signal<Theme | null>(readTheme());
export const isDark = signal(false);
/** Whether terminals tell a screen reader what they print. */
export const isReadAloud = signal(localStorage.getItem(places.aloud) !== null);

/** Takes up what was chosen, in this tab or another one; ends when the page has its words. */
export async function startPreferences(): Promise<void> {
  darkWish.addEventListener("change", applyTheme);
  addEventListener("storage", ({ key }) => {
    if (key === places.theme) applyTheme();
    if (key === places.language) void applyLanguage();
  });
  applyTheme();
  await applyLanguage();
}

export function chooseTheme(next: Theme | null): void {
  keep(places.theme, next);
  applyTheme();
}

export function chooseReadAloud(next: boolean): void {
  keep(places.aloud, next ? "yes" : null);
  isReadAloud.value = next;
}

export function changeLanguage(next: Language): void {
  keep(places.language, next);
  void applyLanguage();
}

/** `theme.js` did the same before the first paint. */
function applyTheme(): void {
  theme.value = readTheme();
  const root = document.documentElement;
  if (theme.value === null) delete root.dataset["theme"];
  else root.dataset["theme"] = theme.value;
  isDark.value = theme.value === null ? darkWish.matches : theme.value === "dark";
}

async function applyLanguage(): Promise<void> {
  const chosen = chooseLanguage(localStorage.getItem(places.language), navigator.languages);
  try {
    await speak(chosen);
    document.documentElement.lang = chosen;
  } catch {
    // The catalogue is of another build, or the network is gone: the page is loaded anew, in the language that is kept.
    setTimeout(() => location.reload(), 3000);
    await new Promise(() => {});
  }
}

function readTheme(): Theme | null {
  const kept = localStorage.getItem(places.theme);
  return kept === "light" || kept === "dark" ? kept : null;
}

function keep(place: string, value: string | null): void {
  if (value === null) localStorage.removeItem(place);
  else localStorage.setItem(place, value);
}
