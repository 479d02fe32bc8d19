/** A tool call: one line while folded, with input and output below when unfolded; edits of files show as diffs. */
import { createContext } from "preact";
import { useContext, useEffect, useMemo, useState } from "preact/hooks";
import { t } from "../i18n/language.ts";
import { DiffCount, DiffView } from "./diff-view.tsx";
import { showable } from "../text/plain-text.ts";
import type { Picture, ToolItem } from "./items.ts";
import { LongText } from "../ui/long-text.tsx";
import { Markdown } from "../markdown/markdown.tsx";
import { callOf, editOf, inputText, numberedLines, proseOf, shortPath, summarise, todosOf } from "./tools.ts";

/** Of the run whose turn this one takes up, as `callOf` says them. */
export const EarlierCalls = createContext<ReadonlySet<string>>(new Set());

/** Edits up to this size show without a click. */
const smallEdit = 30;

export function ToolCall({ item, isLive }: { item: ToolItem; isLive: boolean }) {
  const words = t().conversation;
  const earlier = useContext(EarlierCalls);
  const edit = useMemo(() => editOf(item), [item.input]);
  const isSmallEdit = edit !== null && edit.lines.length <= smallEdit;
  // Until a person chooses: the edit is not known yet while the call is being written.
  const [chosen, setChosen] = useState(item.isUnfolded);
  const isUnfolded =
    chosen ?? (isSmallEdit || item.pictures.length > 0 || item.name === "TodoWrite" || item.name === "ExitPlanMode");
  const toggle = (event: { currentTarget: HTMLDetailsElement }) => {
    item.isUnfolded = event.currentTarget.open;
    setChosen(item.isUnfolded);
  };
  const isRunning = isLive && item.output === null;
  return (
    <details class={`tool ${item.isError ? "failed" : ""}`} open={isUnfolded} onToggle={toggle}>
      <summary>
        <span class="tool-name">{item.name.slice(0, 60)}</span>
        <span class="tool-about">{summarise(item)}</span>
        {edit && <DiffCount lines={edit.lines} />}
        {isRunning && <span class="spinner" role="img" aria-label={words.toolRunning} />}
        {earlier.has(callOf(item)) && <span class="tool-again">{words.toolAgain}</span>}
        {item.isError && <span class="tool-failed">{words.toolFailed}</span>}
      </summary>
      {isUnfolded && (
        <div class="tool-body">
          {edit ? <DiffView lines={edit.lines} label={words.changesIn(shortPath(edit.path))} /> : <Input item={item} />}
          {!(edit && !item.isError) && item.output !== null && <Output item={item} output={item.output} />}
        </div>
      )}
    </details>
  );
}

function Output({ item, output }: { item: ToolItem; output: string }) {
  const words = t().conversation;
  const numbered = useMemo(() => numberedLines(item), [output]);
  const isEmpty = !output.trim() && item.pictures.length === 0;
  return (
    <>
      <p class="tool-label">{item.isError ? words.failedWith : words.output}</p>
      {numbered && <NumberedLines {...numbered} />}
      {!numbered && output.trim() && <LongText text={output} />}
      {isEmpty && <p class="muted">{words.nothingPrinted}</p>}
      {item.pictures.map((picture, at) => (
        <DrawnPicture key={at} picture={picture} />
      ))}
    </>
  );
}

const linesAtOnce = 300;

function NumberedLines({ numbers, texts, rest }: { numbers: string[]; texts: string[]; rest: string }) {
  const [most, setMost] = useState(linesAtOnce);
  return (
    <>
      <div class="numbered">
        <pre aria-hidden="true">{numbers.slice(0, most).join("\n")}</pre>
        <pre>{showable(texts.slice(0, most).join("\n"))}</pre>
      </div>
      {texts.length > most && (
        <p class="more">
          <button type="button" class="quiet" onClick={() => setMost(most + 10 * linesAtOnce)}>
            {t().common.showMore}
          </button>
        </p>
      )}
      {rest && <LongText text={rest} />}
    </>
  );
}

/** A file of the page alone, for its policy lets no address in that a text may name. */
function DrawnPicture({ picture: { mediaType, data } }: { picture: Picture }) {
  const [url, setUrl] = useState<string | null>(null);
  useEffect(() => {
    const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
    const made = URL.createObjectURL(new Blob([bytes], { type: mediaType }));
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [data]);
  return url && <img class="picture" src={url} alt={t().conversation.picture} />;
}

function Input({ item }: { item: ToolItem }) {
  const todos = todosOf(item);
  const prose = proseOf(item);
  if (prose !== null) return <Markdown text={prose} />;
  if (todos === null) return <LongText text={inputText(item)} class="input" />;
  return (
    <ul class="todos">
      {todos.map(({ text, state }) => (
        <li class={state}>
          <span role="img" aria-label={t().conversation.todo[state]}>
            {{ done: "☑", doing: "◐", open: "☐" }[state]}
          </span>{" "}
          {showable(text)}
        </li>
      ))}
    </ul>
  );
}
