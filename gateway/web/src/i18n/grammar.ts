/** What catalogues are written with. */
import type { ComponentChildren } from "preact";

/** Makes a link, code or emphasis of the words that a sentence gives it: where in the sentence, its language says. */
export type Wrap = (words: ComponentChildren) => ComponentChildren;

/** A count in the form that its language has for it; `#` stands for the number. */
type Plural = (count: number, forms: { other: string } & Partial<Record<Intl.LDMLPluralRule, string>>) => string;

export function createPlural(language: string): Plural {
  const rules = new Intl.PluralRules(language);
  const number = new Intl.NumberFormat(language);
  return (count, forms) => (forms[rules.select(count)] ?? forms.other).replace("#", number.format(count));
}
