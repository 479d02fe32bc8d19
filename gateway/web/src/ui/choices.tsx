/** What is chosen: one of several, or whether. */
import type { ComponentChildren } from "preact";

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
