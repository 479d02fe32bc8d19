/** A form for something new: its name, one choice, and a button; or more fields below them, and the button at the end. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Failure } from "./failure.tsx";
import { useTask } from "./use-task.ts";

interface NameFormProps<Choice extends string> {
  label: string;
  placeholder?: string;
  choiceLabel: string;
  choices: [value: Choice, words: string][];
  /** What is chosen at first. */
  initial: Choice;
  /** The button's words: what it does. */
  action: string;
  act: (name: string, choice: Choice) => Promise<unknown>;
  onChoice?: (choice: Choice) => void;
  /** Stands above a form with more fields. */
  title?: string;
  children?: ComponentChildren;
}

export function NameForm<Choice extends string>(props: NameFormProps<Choice>) {
  const { initial, action, act, title, children } = props;
  const [name, setName] = useState("");
  const [choice, setChoice] = useState(initial);
  const task = useTask(async () => {
    await act(name.trim(), choice);
    setName("");
  });
  const choose = (next: Choice) => {
    setChoice(next);
    props.onChoice?.(next);
  };
  const submit = (event: Event) => {
    event.preventDefault();
    if (name.trim()) void task.run();
  };
  const fields = <Fields {...props} name={name} setName={setName} choice={choice} setChoice={choose} />;
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
        {children}
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
  name: string;
  setName: (name: string) => void;
  choice: Choice;
  setChoice: (choice: Choice) => void;
}

function Fields<Choice extends string>(props: FieldsProps<Choice>) {
  const { label, placeholder = label, name, setName, choiceLabel, choices, choice, setChoice } = props;
  return (
    <>
      <input
        aria-label={label}
        placeholder={placeholder}
        value={name}
        maxLength={64}
        required
        autocomplete="off"
        onInput={(event) => setName(event.currentTarget.value)}
      />
      <select
        aria-label={choiceLabel}
        value={choice}
        onChange={(event) => setChoice(event.currentTarget.value as Choice)}
      >
        {choices.map(([value, words]) => (
          <option key={value} value={value}>
            {words}
          </option>
        ))}
      </select>
    </>
  );
}
