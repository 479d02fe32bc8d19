/** A modal dialog, and a menu: the browser's own, so that focus, Escape and what is behind behave as everywhere. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

export function Dialog({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby={titleId} onClose={onClose}>
      <h2 id={titleId}>{title}</h2>
      {children}
    </dialog>
  );
}

interface MenuProps {
  class: string;
  summary: ComponentChildren;
  onToggle?: (isOpen: boolean) => void;
  children: ComponentChildren;
}

/** What is seldom needed: it closes when the focus leaves it, and by Escape. */
export function Menu({ class: name, summary, onToggle, children }: MenuProps) {
  return (
    <details
      class={`drop-down ${name}`}
      onToggle={({ currentTarget: menu }) => {
        // At the end of a page it would open out of view.
        if (menu.open) menu.lastElementChild!.scrollIntoView({ block: "nearest" });
        onToggle?.(menu.open);
      }}
      onFocusOut={(event) => {
        const { currentTarget: menu, relatedTarget: next } = event;
        if (next instanceof Node && !menu.contains(next)) menu.open = false;
      }}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !event.currentTarget.open) return;
        event.stopPropagation();
        event.currentTarget.open = false;
      }}
    >
      <summary>{summary}</summary>
      {children}
    </details>
  );
}
