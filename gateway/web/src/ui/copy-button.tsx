/** A button that copies a text and says so. */
import { useState } from "preact/hooks";

export function CopyButton({ text, label = "Copy", wide = false }: { text: string; label?: string; wide?: boolean }) {
  const [said, setSaid] = useState<string | null>(null);
  const copy = async () => {
    // Only pages of https and localhost may use the clipboard.
    const isCopied = await (navigator.clipboard?.writeText(text) ?? Promise.reject()).then(
      () => true,
      () => false,
    );
    setSaid(isCopied ? "Copied" : "Select it and copy by hand");
    setTimeout(() => setSaid(null), 2500);
  };
  return (
    <button type="button" class={wide ? "" : "quiet copy"} onClick={copy} aria-label={said ?? label} title={label}>
      {said ?? (wide ? label : "Copy")}
    </button>
  );
}
