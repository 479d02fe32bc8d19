/** Text as it is, its head first: the rest comes in steps, for a megabyte at once would hold up the page. */
import { useState } from "preact/hooks";
import { t } from "../i18n/language.ts";
import { formatBytes } from "../text/format.ts";
import { splitPrinted } from "../text/ansi.ts";
import { headOf, languageOf, overwriteLines, showable } from "../text/plain-text.ts";

const firstChars = 6000;
const stepChars = 60_000;

export function LongText({ text, class: name = "" }: { text: string; class?: string }) {
  const [most, setMost] = useState(firstChars);
  const head = headOf(text, most);
  const left = text.length - head.length;
  return (
    <>
      <pre class={`plain ${name}`} lang={languageOf(head)}>
        <Printed text={head} />
      </pre>
      {left > 0 && (
        <p class="more">
          <button type="button" class="quiet" onClick={() => setMost(most + stepChars)}>
            {t().common.showMore}
          </button>{" "}
          <span class="muted">{t().common.left(formatBytes(left))}</span>
        </p>
      )}
    </>
  );
}

/** What a program printed, in its colours. */
export function Printed({ text }: { text: string }) {
  if (!text.includes("\u001b[")) return <>{showable(text)}</>;
  const pieces = splitPrinted(overwriteLines(text)).map(([part, classes]) => [showable(part), classes]);
  return <>{pieces.map(([part, classes]) => (classes ? <span class={classes}>{part}</span> : part))}</>;
}
