/** A tool call: one line while folded, with input and output below when unfolded; edits of files show as diffs. */
import { createContext } from "preact";
import { useContext, useMemo, useState } from "preact/hooks";
import { t } from "../i18n/language.ts";
import { DiffCount, DiffView } from "./diff-view.tsx";
import { showable } from "../text/plain-text.ts";
import type { ToolItem } from "./items.ts";
import { LongText } from "../ui/long-text.tsx";
import { Markdown } from "../markdown/markdown.tsx";
import { callOf, editOf, inputText, proseOf, shortPath, summarise, todosOf } from "./tools.ts";

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
  const isUnfolded = chosen ?? (isSmallEdit || item.name === "TodoWrite" || item.name === "ExitPlanMode");
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
          {!(edit && !item.isError) && item.output !== null && (
            <>
              <p class="tool-label">{item.isError ? words.failedWith : words.output}</p>
              {item.output.trim() ? <LongText text={item.output} /> : <p class="muted">{words.nothingPrinted}</p>}
            </>
          )}
        </div>
      )}
    </details>
  );
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
