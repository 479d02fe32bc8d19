/** The keys that work on every page. Those of one place are told where they act: the composer, the terminal. */
import { signal } from "@preact/signals";

export const isPaletteOpen = signal(false);
export const isHelpOpen = signal(false);

/** Ctrl+K (or Cmd+K) opens the palette from everywhere but a terminal, which has that key itself; `?` the list of keys, where nobody writes. */
export function followShortcuts(): () => void {
  const onKeyDown = (event: KeyboardEvent) => {
    const { target } = event;
    if (event.isComposing || event.altKey || !(target instanceof Element) || target.closest(".xterm,dialog")) return;
    const isPalette = event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.shiftKey;
    const isHelp = event.key === "?" && !event.ctrlKey && !event.metaKey && !target.closest("input,textarea,select");
    if (!isPalette && !isHelp) return;
    event.preventDefault();
    (isPalette ? isPaletteOpen : isHelpOpen).value = true;
  };
  addEventListener("keydown", onKeyDown);
  return () => removeEventListener("keydown", onKeyDown);
}
