/** A state in a word, with a dot whose shape and colour both say it. */
import type { StateWords } from "../text/words.ts";

export function Badge({ told, quiet = false }: { told: StateWords; quiet?: boolean }) {
  return (
    <span class={`badge ${told.tone}`}>
      <span class="dot" aria-hidden="true" />
      {quiet ? <span class="sr-only">{told.short}</span> : told.short}
    </span>
  );
}
