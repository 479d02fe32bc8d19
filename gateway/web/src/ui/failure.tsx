/** Why something failed, said aloud as soon as it is there; nothing without words. */
export function Failure({ words, isInline = false }: { words: string | null; isInline?: boolean }) {
  const Tag = isInline ? "span" : "p";
  return words ? (
    <Tag class="failure" role="alert">
      {words}
    </Tag>
  ) : null;
}
