/** What forms are made of: one that is sent by a button, and what may be chosen in it. */
import type { ComponentChildren } from "preact";
import { Failure } from "./failure.tsx";
import type { Task } from "./use-task.ts";

export interface FormProps {
  class?: string;
  task: Task;
  /** The button's words: what it does, and while it does it. */
  action: string;
  busy?: string;
  kind?: "primary" | "danger" | "";
  mayAct?: boolean;
  /** The button beside it that leaves the form. */
  leave?: ComponentChildren;
  /** What has become of it. */
  said?: ComponentChildren;
  children: ComponentChildren;
}

export function Form(props: FormProps) {
  const { class: name, task, action, busy = action, kind = "primary", mayAct = true, leave, said, children } = props;
  const submit = (event: Event) => {
    event.preventDefault();
    if (mayAct) void task.run();
  };
  return (
    <form class={name} onSubmit={submit}>
      {children}
      <Failure error={task.failure} />
      <p class="actions">
        {leave}
        <button type="submit" class={kind} disabled={!mayAct || task.isBusy}>
          {task.isBusy ? busy : action}
        </button>
        {said !== undefined && (
          <span role="status" class="muted">
            {said}
          </span>
        )}
      </p>
    </form>
  );
}

export type Choices = (readonly [value: string, words: string])[];

export const Options = ({ of }: { of: Choices }) =>
  of.map(([value, words]) => (
    <option key={value} value={value}>
      {words}
    </option>
  ));
