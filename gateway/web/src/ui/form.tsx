/** What forms are made of: one that is sent by a button, and what is chosen in it: one of several, or whether. */
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

type Choices = (readonly [value: string, words: string])[];

export const Options = ({ of }: { of: Choices }) =>
  of.map(([value, words]) => (
    <option key={value} value={value}>
      {words}
    </option>
  ));

interface SelectProps {
  label: string;
  value: string;
  set: (value: string) => void;
  of: Choices;
  /** What stands for all of them. */
  all?: string;
}

export const Select = ({ label, value, set, of, all }: SelectProps) => (
  <select aria-label={label} value={value} onChange={(event) => set(event.currentTarget.value)}>
    {all !== undefined && <option value="">{all}</option>}
    <Options of={of} />
  </select>
);

interface CheckProps {
  isOn: boolean;
  set: (isOn: boolean) => void;
  children: ComponentChildren;
}

export const Check = ({ isOn, set, children }: CheckProps) => (
  <label class="check">
    <input type="checkbox" checked={isOn} onChange={(event) => set(event.currentTarget.checked)} /> {children}
  </label>
);
