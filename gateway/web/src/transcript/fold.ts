/**
 * Folds the lines of a run into items. Partial text (`stream_event`) grows an open item; the CLI's final `assistant` line
 * closes it with the text that counts. What agents print is hostile: every field is looked at before it is used.
 */
import { blocksOf, capped, numberOf, objectOf, textOf, textOfBlock, type Json } from "./fields.ts";
import type { Item, OutputItem, TextItem, ToolItem } from "./items.ts";

/** Items that are drawn together. */
export const chunkSize = 32;
/** One item of plain output holds at most this many characters, so that none is too much to draw at once. */
const outputChars = 4000;
/** Beyond this many characters of plain output the oldest is let go: the log on the host has all. */
const mostOutputChars = 24_000_000;

export interface Fold {
  readonly items: Item[];
  /** A number for each chunk of items that grows when one in it changes. */
  readonly chunkRevs: number[];
  add(line: unknown): void;
  /** No line will follow: what is open stays as far as it came. */
  end(): void;
}

interface State {
  items: Item[];
  chunkRevs: number[];
  /** Where the call of a tool is, by its id. */
  tools: Map<string, number>;
  /** Open items of the message that is being written, by the index of their block; one set for each helper. */
  drafts: Map<string, Map<number, number>>;
  /** Plain output: its size, and the first item of it that is still here. */
  output: { chars: number; first: number };
}

export function createFold(): Fold {
  const state: State = {
    items: [],
    chunkRevs: [],
    tools: new Map(),
    drafts: new Map(),
    output: { chars: 0, first: 0 },
  };
  return {
    items: state.items,
    chunkRevs: state.chunkRevs,
    add: (line) => addLine(state, line),
    end() {
      for (const [at, item] of state.items.entries()) {
        if (!("isOpen" in item) || !item.isOpen) continue;
        item.isOpen = false;
        touch(state, at);
      }
    },
  };
}

function addLine(state: State, value: unknown): void {
  const line = objectOf(value);
  const helper = textOf(line["parent_tool_use_id"]);
  switch (line["type"]) {
    case "line":
      return addOutput(state, textOf(line["text"]), line["more"] === true);
    case "stream_event":
      return addPartial(state, helper, objectOf(line["event"]));
    case "assistant":
      return addAssistant(state, helper, objectOf(line["message"]));
    case "user":
      return addUser(state, helper, objectOf(line["message"]));
    case "system":
      if (line["subtype"] === "compact_boundary")
        addNote(state, "The conversation got long; the agent summed up its beginning.", "quiet");
      if (line["subtype"] === "session_missing") addNote(state, textOf(line["message"]), "bad");
      return;
    case "result":
      return addResult(state, line);
    case "rate_limit_event":
      return;
    default: {
      const text = capped(JSON.stringify(value, null, 2) ?? "");
      push(state, { kind: "raw", name: textOf(line["type"]) || "unknown", text, isNested: false, rev: 0 });
    }
  }
}

function addPartial(state: State, helper: string, event: Json): void {
  if (event["type"] === "message_start") dropDrafts(state, helper);
  else if (event["type"] === "content_block_start") openBlock(state, helper, event);
  else if (event["type"] === "content_block_delta") growBlock(state, helper, event);
}

function openBlock(state: State, helper: string, event: Json): void {
  const item = itemOf(objectOf(event["content_block"]), helper !== "");
  if (!item) return;
  const at = push(state, item);
  if (item.kind === "tool" && item.toolId) state.tools.set(item.toolId, at);
  draftsOf(state, helper).set(numberOf(event["index"]), at);
}

function growBlock(state: State, helper: string, event: Json): void {
  const at = draftsOf(state, helper).get(numberOf(event["index"])) ?? -1;
  const item = state.items[at];
  if (item?.kind !== "text" && item?.kind !== "thinking") return;
  const delta = objectOf(event["delta"]);
  item.text = capped(item.text + textOf(delta["text"] ?? delta["thinking"]));
  touch(state, at);
}

/** Each final block takes the place of the first open one of its kind. */
function addAssistant(state: State, helper: string, message: Json): void {
  const open = draftsOf(state, helper);
  for (const block of blocksOf(message["content"])) {
    const item = itemOf(block, helper !== "");
    if (!item) continue;
    item.isOpen = false;
    const draft = [...open].find(([, at]) => isDraftOf(state.items[at]!, item));
    if (draft) open.delete(draft[0]);
    const at = draft ? replace(state, draft[1], item) : push(state, item);
    if (item.kind === "tool" && item.toolId) state.tools.set(item.toolId, at);
  }
}

function addUser(state: State, helper: string, message: Json): void {
  for (const block of blocksOf(message["content"])) {
    if (block["type"] === "tool_result") answerTool(state, block);
    else if (block["type"] === "text" && helper === "") addNote(state, textOf(block["text"]), "quiet");
  }
}

function answerTool(state: State, block: Json): void {
  const at = state.tools.get(textOf(block["tool_use_id"])) ?? -1;
  const item = state.items[at];
  const output = capped(blocksOf(block["content"]).map(textOfBlock).join("\n"));
  if (item?.kind !== "tool") return void push(state, { kind: "output", text: output, isNested: false, rev: 0 });
  Object.assign(item, { output, isError: block["is_error"] === true, isOpen: false });
  touch(state, at);
}

/** The CLI's own conclusion. Mostly its text was the last message; an error may stand here alone. */
function addResult(state: State, line: Json): void {
  dropDrafts(state, "");
  const text = textOf(line["result"]);
  if (line["is_error"] !== true || !text) return;
  if (!state.items.some((item) => item.kind === "text" && item.text === text)) addNote(state, text, "bad");
}

function addOutput(state: State, text: string, more: boolean): void {
  const line = more ? text : `${text}\n`;
  const last = state.items.at(-1);
  state.output.chars += line.length;
  if (last?.kind === "output" && last.text.length + line.length <= outputChars) {
    last.text += line;
    touch(state, state.items.length - 1);
  } else for (const piece of cut(line)) push(state, piece);
  if (state.output.chars > mostOutputChars) dropOldest(state);
}

function dropOldest(state: State): void {
  const { output, items } = state;
  for (; output.chars > mostOutputChars * 0.9 && output.first < items.length; output.first++) {
    const item = items[output.first]!;
    if (item.kind !== "output") continue;
    output.chars -= item.text.length;
    drop(state, output.first);
  }
  const first = items.findIndex((item) => item.kind === "gone");
  const text = "This is where a long output begins that is not kept here; the raw events have all of it.";
  replace(state, first, { kind: "note", text, tone: "quiet", isNested: false, rev: 0 });
}

function itemOf(block: Json, isNested: boolean): TextItem | ToolItem | null {
  const base = { isNested, rev: 0, isOpen: true };
  switch (block["type"]) {
    case "text":
      return { kind: "text", text: capped(textOf(block["text"])), ...base };
    case "thinking":
      return { kind: "thinking", text: capped(textOf(block["thinking"])), ...base };
    case "tool_use":
    case "server_tool_use": {
      const input = objectOf(block["input"]);
      const call = {
        toolId: textOf(block["id"]),
        name: textOf(block["name"]) || "tool",
        input: Object.keys(input).length > 0 ? input : null,
      };
      return { kind: "tool", ...call, output: null, isError: false, isUnfolded: null, ...base };
    }
    default:
      return null;
  }
}

/** Whether the final item is what the open one has been on the way to. */
function isDraftOf(open: Item, final: TextItem | ToolItem): boolean {
  if (open.kind !== final.kind || !("isOpen" in open) || !open.isOpen) return false;
  return open.kind !== "tool" || open.toolId === (final as ToolItem).toolId;
}

function cut(text: string): OutputItem[] {
  const pieces: OutputItem[] = [];
  for (let at = 0; at < text.length; at += outputChars)
    pieces.push({ kind: "output", text: text.slice(at, at + outputChars), isNested: false, rev: 0 });
  return pieces;
}

function draftsOf({ drafts }: State, helper: string): Map<number, number> {
  const there = drafts.get(helper);
  if (there) return there;
  const made = new Map<number, number>();
  drafts.set(helper, made);
  return made;
}

function dropDrafts(state: State, helper: string): void {
  for (const at of draftsOf(state, helper).values()) drop(state, at);
  state.drafts.delete(helper);
}

function addNote(state: State, text: string, tone: "quiet" | "bad"): void {
  push(state, { kind: "note", text, tone, isNested: false, rev: 0 });
}

function push(state: State, item: Item): number {
  const at = state.items.push(item) - 1;
  touch(state, at);
  return at;
}

function replace(state: State, at: number, item: Item): number {
  state.items[at] = { ...item, rev: state.items[at]!.rev };
  touch(state, at);
  return at;
}

const drop = (state: State, at: number) => replace(state, at, { kind: "gone", isNested: false, rev: 0 });

function touch({ items, chunkRevs }: State, at: number): void {
  items[at]!.rev++;
  const chunk = Math.floor(at / chunkSize);
  chunkRevs[chunk] = (chunkRevs[chunk] ?? 0) + 1;
}
