/** Why something failed, said aloud as soon as it is there; nothing where nothing did. */
import { explain } from "../api/api.ts";

/** `error`: what was thrown, or a sentence. */
export function Failure({ error, isInline = false }: { error: unknown; isInline?: boolean }) {
  const Tag = isInline ? "span" : "p";
  return error ? (
    <Tag class="failure" role="alert">
      {explain(error)}
    </Tag>
  ) : null;
}
