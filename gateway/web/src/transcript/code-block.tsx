/** Code as it is, with a button that copies it. */
import { CopyButton } from "../parts/copy-button.tsx";

export function CodeBlock({ text, language }: { text: string; language?: string | undefined }) {
  const name = language?.split(/\s/, 1)[0];
  return (
    <div class="code-block">
      <pre tabIndex={0} aria-label={name ? `Code, ${name}` : "Code"}>
        <code>{text}</code>
      </pre>
      <CopyButton text={text} label="Copy the code" />
    </div>
  );
}
