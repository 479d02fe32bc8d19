/** Where the page is: the path as a signal, links that change it without loading, titles and focus that follow. */
import { batch, signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { keepTop, restoreTop, restoreUnloaded } from "../kept/places.ts";

export const path = signal(pathOf(location.pathname));
/** What follows the path, with its question mark. */
export const search = signal(location.search);
let isBack = false;
/** Whether the browser's buttons led here, and not a link. */
export const hasComeBack = () => isBack;
addEventListener("popstate", () => {
  isBack = true;
  follow();
  restoreTop();
});
restoreUnloaded();

function pathOf(pathname: string): string {
  return pathname.replace(/(.)\/+$/, "$1");
}

function follow(): void {
  batch(() => {
    path.value = pathOf(location.pathname);
    search.value = location.search;
  });
}

/** Goes to a path of this page; `replace` leaves no step to come back to. */
export function go(to: string, { replace = false } = {}): void {
  isBack = false;
  if (replace) history.replaceState(null, "", to);
  else {
    keepTop();
    history.pushState(null, "", to);
  }
  follow();
}

/** Filters of a list by name, in the address so that they come back with it, as they are typed; `query` has those that are set. */
export function readFilters<Name extends string>(names: readonly Name[]) {
  const there = new URLSearchParams(search.value);
  const values = Object.fromEntries(names.map((name) => [name, there.get(name) ?? ""])) as Record<Name, string>;
  const queryOf = (all: Record<string, string>) =>
    new URLSearchParams(Object.entries(all).filter(([, value]) => value.trim())).toString();
  const set = (name: Name) => (value: string) => {
    const query = queryOf({ ...values, [name]: value });
    go(path.value + (query && `?${query}`), { replace: true });
  };
  const trimmed = Object.fromEntries(names.map((name) => [name, values[name].trim()]));
  return { values, set, query: queryOf(trimmed) };
}

/** The parts of the path that the pattern names (`/agents/:id`), or null when it does not fit. */
export function match(pattern: string, current: string): Record<string, string> | null {
  const wanted = pattern.split("/");
  const there = current.split("/");
  if (wanted.length !== there.length) return null;
  const found: Record<string, string> = {};
  for (const [at, part] of wanted.entries()) {
    if (part.startsWith(":")) {
      const text = decoded(there[at]!);
      if (text === null) return null;
      found[part.slice(1)] = text;
    } else if (part !== there[at]) return null;
  }
  return found;
}

/** Null for what is no percent-encoded UTF-8. */
function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

interface LinkProps {
  href: string;
  class?: string;
  /** Whether it is also current on the pages below it. */
  within?: boolean;
  children?: ComponentChildren;
}

/** A link within the page; marked as current where it leads to. */
export function Link({ href, children, within, class: name }: LinkProps) {
  const current = href.includes("?") ? path.value + search.value : path.value;
  const isHere = current === href || (within && path.value.startsWith(`${href}/`));
  const onClick = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(href);
  };
  return (
    <a class={name} href={href} aria-current={isHere ? "page" : undefined} onClick={onClick}>
      {children}
    </a>
  );
}
