/** Asks before something that cannot be taken back: where much is lost, its name must be typed. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { t } from "../i18n/language.ts";
import { Dialog } from "./dialog.tsx";
import { useTask } from "./use-task.ts";
import { Failure } from "./failure.tsx";

interface ConfirmProps {
  title: string;
  /** What is lost. */
  children: ComponentChildren;
  /** The button's words: what it does. */
  action: string;
  /** What must be typed first. */
  typed?: string;
  act: () => Promise<unknown>;
  onClose: () => void;
}

export function Confirm({ title, children, action, typed, act, onClose }: ConfirmProps) {
  const [text, setText] = useState("");
  const task = useTask(async () => {
    await act();
    onClose();
  });
  const mayAct = typed === undefined || text.trim() === typed;
  const submit = (event: Event) => {
    event.preventDefault();
    if (mayAct) void task.run();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={submit}>
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
        <Failure error={task.failure} />
        <p class="actions">
          <button type="button" onClick={onClose}>
            {t().common.cancel}
          </button>
          <button type="submit" class="danger" disabled={!mayAct || task.isBusy}>
            {task.isBusy ? t().common.moment : action}
          </button>
        </p>
      </form>
    </Dialog>
  );
}
