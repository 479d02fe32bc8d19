/**
 * A form for something new: its name, one choice, and a button; or more fields below them, and the button at the end. And what is
 * chosen on pages of lists: one of several, or whether.
 */
import "../style/lists.css";
import type { ComponentChildren } from "preact";
import { useKeptFields } from "../kept/use-kept.ts";
import { type Choices, Options } from "./form.tsx";
import { Failure } from "./failure.tsx";
import { useTask } from "./use-task.ts";

interface NameFormProps<Choice extends string> {
  /** Of what is typed and not sent. */
  place: string;
  label: string;
  placeholder?: string;
  choiceLabel: string;
  choices: [value: Choice, words: string][];
  /** What is chosen at first. */
  initial: Choice;
  /** The button's words: what it does. */
  action: string;
  act: (name: string, choice: Choice) => Promise<unknown>;
  /** Stands above a form with more fields. */
  title?: string;
  children?: (choice: Choice) => ComponentChildren;
}

export function NameForm<Choice extends string>(props: NameFormProps<Choice>) {
  const { place, initial, action, act, title, children } = props;
  const [draft, keep, forget] = useKeptFields(`berth.new.${place}`, { name: "", choice: initial });
  const { name, choice } = draft;
  const task = useTask(async () => {
    await act(name.trim(), choice);
    forget();
  });
  const submit = (event: Event) => {
    event.preventDefault();
    if (name.trim()) void task.run();
  };
  const fields = <Fields {...props} draft={draft} keep={keep} />;
  const button = (
    <button type="submit" class="primary" disabled={task.isBusy}>
      {action}
    </button>
  );
  if (children)
    return (
      <form class="new-trigger" onSubmit={submit}>
        <h2>{title}</h2>
        <div class="inline">{fields}</div>
        {children(choice)}
        <Failure error={task.failure} />
        <p class="actions">{button}</p>
      </form>
    );
  return (
    <>
      <form class="inline" onSubmit={submit}>
        {fields}
        {button}
      </form>
      <Failure error={task.failure} />
    </>
  );
}

interface FieldsProps<Choice extends string> extends Pick<
  NameFormProps<Choice>,
  "label" | "placeholder" | "choiceLabel" | "choices"
> {
  draft: { name: string; choice: Choice };
  keep: (written: { name: string } | { choice: Choice }) => void;
}

function Fields<Choice extends string>(props: FieldsProps<Choice>) {
  const { label, placeholder = label, choiceLabel, choices, draft, keep } = props;
  return (
    <>
      <input
        aria-label={label}
        placeholder={placeholder}
        value={draft.name}
        maxLength={64}
        required
        autocomplete="off"
        onInput={(event) => keep({ name: event.currentTarget.value })}
      />
      <Select
        label={choiceLabel}
        value={draft.choice}
        set={(choice) => keep({ choice: choice as Choice })}
        of={choices}
      />
    </>
  );
}

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
