/** A block of code. Its colours come after it: the tokenizer is loaded when the first block needs it, and a long block stays plain. */
import { useEffect, useState } from "preact/hooks";
import { t } from "../i18n/language.ts";
import { CopyButton } from "../ui/copy-button.tsx";
import { colourKindOf, colourTokens, type Token } from "./colours.ts";

/** Text that is still being written is coloured when it stands still. */
const settleMs = 200;

export function CodeBlock({ text, language }: { text: string; language: string }) {
  const [coloured, setColoured] = useState<{ text: string; tokens: Token[] } | null>(null);
  const kind = colourKindOf(text, language);
  useEffect(() => {
    if (!kind) return;
    let isCurrent = true;
    const show = (tokens: Token[]) => isCurrent && setColoured({ text, tokens });
    // Without colours where the tokenizer cannot be loaded.
    const timer = setTimeout(() => void colourTokens(text, kind).then(show, () => undefined), settleMs);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [text, kind]);
  const tokens = coloured?.text === text ? coloured.tokens : null;
  return (
    <div class="code-block">
      <pre tabIndex={0} role="region" aria-label={t().common.code(language)}>
        <code>{tokens?.map(([part, type]) => (type ? <span class={`code-${type}`}>{part}</span> : part)) ?? text}</code>
      </pre>
      <CopyButton text={text} label={t().common.copyCode} />
    </div>
  );
}
