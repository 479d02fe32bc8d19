/** A secret that is shown this once. */
import { CopyButton } from "./copy-button.tsx";

export function ShownOnce({ text, what }: { text: string; what: string }) {
  return (
    <div class="shown-once" role="status">
      <p>
        <strong>Copy it now:</strong> {what} is not shown again.
      </p>
      <pre class="plain" tabIndex={0}>
        {text}
      </pre>
      <CopyButton text={text} label="Copy" wide />
    </div>
  );
}
