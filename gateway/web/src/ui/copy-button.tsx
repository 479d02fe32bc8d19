/** A button that copies a text and says so. */
import { useState } from "preact/hooks";
import { t } from "../i18n/language.ts";

export function CopyButton({ text, label, wide = false }: { text: string; label?: string; wide?: boolean }) {
  const { common } = t();
  const [said, setSaid] = useState<"copied" | "copyByHand" | null>(null);
  const name = said ? common[said] : (label ?? common.copy);
  const copy = async () => {
    // Only pages of https and localhost may use the clipboard.
    const isCopied = await (navigator.clipboard?.writeText(text) ?? Promise.reject()).then(
      () => true,
      () => false,
    );
    setSaid(isCopied ? "copied" : "copyByHand");
    setTimeout(() => setSaid(null), 2500);
  };
  return (
    <button type="button" class={wide ? "" : "quiet copy"} onClick={copy} aria-label={name} title={name}>
      {said || wide ? name : common.copy}
    </button>
  );
}
