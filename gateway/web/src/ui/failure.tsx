/** What a page says of what is not here: why it failed, said aloud as soon as that is known; that it comes; that there is more of it. */
import type { ComponentChildren } from "preact";
import { explain } from "../api/api.ts";
import { t } from "../i18n/language.ts";

/** `error`: what was thrown, or a sentence; nothing where nothing failed. */
export function Failure({ error, isInline = false }: { error: unknown; isInline?: boolean }) {
  const Tag = isInline ? "span" : "p";
  return error ? (
    <Tag class="failure" role="alert">
      {explain(error)}
    </Tag>
  ) : null;
}

export const Loading = ({ class: name = "" }: { class?: string }) => (
  <p class={`muted ${name}`} role="status">
    {t().common.loading}
  </p>
);

interface MoreProps {
  class?: string;
  load: () => unknown;
  isLoading?: boolean;
  /** What there is more of. */
  children: ComponentChildren;
}

export const More = ({ class: name, load, isLoading = false, children }: MoreProps) => (
  <p class={name}>
    <button type="button" disabled={isLoading} onClick={() => void load()}>
      {isLoading ? t().common.loading : children}
    </button>
  </p>
);
