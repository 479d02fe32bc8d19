/** The message that a delivery becomes, as a form has it; and what is asked where that is a script with a sender's words in it. */
import { useState } from "preact/hooks";
import type { Agent } from "@berth/shared/resources";
import { runtimeFacts } from "@berth/shared/kinds/runtimes";
import { t } from "../i18n/language.ts";
import { Check } from "../ui/name-form.tsx";

export function TemplateField({ value, set }: { value: string; set: (value: string) => void }) {
  return (
    <label>
      {t().triggers.message}
      <textarea
        rows={4}
        value={value}
        required
        spellcheck={false}
        onInput={(event) => set(event.currentTarget.value)}
      />
      <span class="muted">
        {t().triggers.templateHint((code) => (
          <code>{code}</code>
        ))}
      </span>
    </label>
  );
}

/** Whether a script is meant to run what its sender writes: it is not taken before that is said. */
export function useMeaning({ runtime }: Agent) {
  const words = t().triggers;
  const [isMeant, setMeant] = useState(false);
  const isScript = (template: string) => runtimeFacts[runtime].isScript && template.includes("{{");
  return {
    insist(template: string): void {
      if (isScript(template) && !isMeant) throw new Error(words.isScript);
    },
    question: (template: string) =>
      isScript(template) && (
        <Check isOn={isMeant} set={setMeant}>
          {words.runsSender}
        </Check>
      ),
  };
}
