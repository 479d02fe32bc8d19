/** An edit of a file: removed and added lines, signs and colours both. */
import { useState } from "preact/hooks";
import { t } from "../i18n/language.ts";
import { showable } from "../text/plain-text.ts";
import { foldDiff, type DiffLine, type FoldedDiff } from "./diff.ts";

const mostLines = 400;
const names = { "+": "added", "-": "removed", " ": "same" } as const;

export function DiffView({ lines, label }: { lines: DiffLine[]; label: string }) {
  return <FoldedDiffView folded={foldDiff(lines)} label={label} />;
}

export function FoldedDiffView({ folded, label }: { folded: FoldedDiff; label: string }) {
  const [most, setMost] = useState(mostLines);
  const shown = folded.slice(0, most);
  return (
    <>
      <div class="diff" tabIndex={0} role="region" aria-label={label}>
        {shown.map((line) =>
          typeof line === "number" ? (
            <div class="skipped">⋯ {t().conversation.equalLines(line)}</div>
          ) : (
            <div class={names[line.sign]}>
              <span class="sign">{line.sign}</span>
              {showable(line.text.slice(0, 2000)) || " "}
            </div>
          ),
        )}
      </div>
      {shown.length < folded.length && (
        <p class="more">
          <button type="button" class="quiet" onClick={() => setMost(10 * most)}>
            {folded.length > 10 * most ? t().common.showMore : t().conversation.showAllLines(folded.length)}
          </button>
        </p>
      )}
    </>
  );
}

/** `+3 −1`. */
export function DiffCount({ lines }: { lines: DiffLine[] }) {
  const count = (sign: DiffLine["sign"]) => lines.reduce((sum, line) => sum + (line.sign === sign ? 1 : 0), 0);
  return <LineCount added={count("+")} removed={count("-")} />;
}

export function LineCount({ added, removed }: { added: number; removed: number }) {
  return (
    <span class="diff-count" aria-label={t().conversation.diffCount(added, removed)}>
      <span class="added">+{added}</span> <span class="removed">−{removed}</span>
    </span>
  );
}
