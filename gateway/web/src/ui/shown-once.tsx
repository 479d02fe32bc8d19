/** A secret that is shown this once. */
import { t } from "../i18n/language.ts";
import { CopyButton } from "./copy-button.tsx";

export function ShownOnce({ text, what }: { text: string; what: string }) {
  return (
    <div class="shown-once" role="status">
      <p>
        {t().common.copyNow(
          (words) => (
            <strong>{words}</strong>
          ),
          what,
        )}
      </p>
      <pre class="plain" tabIndex={0}>
        {text}
      </pre>
      <CopyButton text={text} wide />
    </div>
  );
}
