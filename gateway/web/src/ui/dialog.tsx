/** Modal dialogs, and a menu: the browser's own, so that focus, Escape and what is behind behave as everywhere. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { t } from "../i18n/language.ts";
import { Form, type FormProps } from "./form.tsx";
import { useTask } from "./use-task.ts";

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}

/** `end`: the words of a button that closes it. */
export function Dialog({ title, onClose, end, children }: DialogProps & { end?: string }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby={titleId} onClose={onClose}>
      <h2 id={titleId}>{title}</h2>
      {children}
      {end && (
        <p class="actions">
          <button type="button" onClick={onClose}>
            {end}
          </button>
        </p>
      )}
    </dialog>
  );
}

interface FormDialogProps extends DialogProps, Omit<FormProps, "class" | "leave" | "said"> {
  onCancel?: () => void;
}

/** Fields, and the buttons that send or leave them. */
export function FormDialog({ title, onClose, onCancel = onClose, busy = t().common.moment, ...form }: FormDialogProps) {
  const leave = (
    <button type="button" onClick={onCancel}>
      {t().common.cancel}
    </button>
  );
  return (
    <Dialog title={title} onClose={onClose}>
      <Form {...form} busy={busy} leave={leave} />
    </Dialog>
  );
}

interface ConfirmProps extends DialogProps {
  action: string;
  /** What must be typed first. */
  typed?: string;
  act: () => Promise<unknown>;
}

/** Asks before something that cannot be taken back; its children say what is lost. Where that is much, its name must be typed. */
export function Confirm({ typed, act, children, ...rest }: ConfirmProps) {
  const [text, setText] = useState("");
  const task = useTask(async () => {
    await act();
    rest.onClose();
  });
  return (
    <FormDialog {...rest} kind="danger" mayAct={typed === undefined || text.trim() === typed} task={task}>
      {children}
      {typed !== undefined && (
        <label>
          <span>{t().common.typeToConfirm(<strong>{typed}</strong>)}</span>
          <input
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
            autocomplete="off"
            spellcheck={false}
          />
        </label>
      )}
    </FormDialog>
  );
}

interface MenuProps {
  class: string;
  /** What it is, for who does not see it. */
  label: string;
  /** What it says beside its dots. */
  summary?: ComponentChildren;
  onToggle?: (isOpen: boolean) => void;
  children: ComponentChildren;
}

/** What is seldom needed: it closes when the focus leaves it, and by Escape. */
export function Menu({ class: name, label, summary, onToggle, children }: MenuProps) {
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
      <summary>
        <span class="sr-only">{label}</span>
        {summary}
        <span aria-hidden="true">⋯</span>
      </summary>
      {children}
    </details>
  );
}
