/** A secret that is shown this once; and a word of an address that others cannot open. */
import "../style/lists.css";
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

const isLoopback = (url: string) => /^https?:\/\/(localhost|127\.|\[::1\])/.test(url);

/** For an address that is given to somebody else: that it leads nowhere there, where it does. */
export const OnlyHere = ({ url }: { url: string }) =>
  isLoopback(url) ? <p class="warning warn">{t().common.onlyHere}</p> : null;
