/** The message that a delivery becomes, as a form has it. */
import { t } from "../i18n/language.ts";

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
