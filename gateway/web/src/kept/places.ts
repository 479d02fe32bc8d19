/**
 * Where a person was on a page that they left. How far it was scrolled lies with its step in the browser's history, so that who comes
 * back by the browser's buttons, or reloads, is there again; what was loaded of it lies in memory.
 */
const loaded = new Map<string, unknown>();
const mostPlaces = 50;

/** What of a list was there when it was left, by what it shows. */
export const placeOf = (of: string): unknown => loaded.get(of);

export function keepPlace(of: string, place: unknown): void {
  loaded.delete(of);
  loaded.set(of, place);
  if (loaded.size > mostPlaces) loaded.delete(loaded.keys().next().value!);
}

export const forgetPlaces = () => loaded.clear();

const scroller = () => document.querySelector("main .page.scroller");

const topNow = () => scroller()?.scrollTop ?? 0;

/** Keeps how far the page is scrolled, before another one of ours takes its place. */
export function keepTop(): void {
  scrolling.abort();
  if (topNow() > 0 || history.state !== null) history.replaceState({ top: topNow() }, "");
}

// A browser takes no more word for its history from a page that is unloaded.
const unloaded = "berth.top";
addEventListener("pagehide", () =>
  sessionStorage.setItem(unloaded, JSON.stringify({ href: location.href, top: topNow() })),
);

/** Scrolls the page that is loaded to where it was when it was unloaded. */
export function restoreUnloaded(): void {
  const { href, top } = JSON.parse(sessionStorage.getItem(unloaded) ?? "{}") as { href?: string; top?: number };
  if (href === location.href) scrollTo(top ?? 0);
}

/** Scrolls the page to where it was left in the browser's history. */
export const restoreTop = () => scrollTo((history.state as { top?: number } | null)?.top ?? 0);

/** A list comes when the gateway answers; one that is as long as it was no more is not waited for for ever. */
const patienceMs = 30_000;
const acts = ["wheel", "pointerdown", "keydown"];
/** Of the last navigation. */
let scrolling = new AbortController();

/** Once the page is that long; not against a person who does something meanwhile, or goes on. */
function scrollTo(top: number): void {
  scrolling.abort();
  if (top === 0) return;
  const end = performance.now() + patienceMs;
  const leave = new AbortController();
  scrolling = leave;
  for (const act of acts) addEventListener(act, () => leave.abort(), { signal: leave.signal, capture: true });
  const step = () => {
    if (leave.signal.aborted) return;
    const box = scroller();
    if (box) box.scrollTop = top;
    if ((box && Math.abs(box.scrollTop - top) < 1) || performance.now() > end) leave.abort();
    else requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}
