/**
 * Folds the lines of a run into items. Partial text (`stream_event`) grows an open item; the CLI's final `assistant` line
 * closes it with the text that counts. What agents print is hostile: every field is looked at before it is used. Pure but
 * for the items it holds.
 */
import type { Item, OutputItem, TextItem, ToolItem } from "./items.ts";

/** Items that are drawn together. */
export const chunkSize = 32;
/** One item of plain output holds at most this many characters, so that none is too much to draw at once. */
const outputChars = 4000;
/** What is kept of one text or tool output; the log on the host has all. */
const mostChars = 1_000_000;

type Json = Record<string, unknown>;
export interface Fold {
  readonly items: Item[];
  /** A number for each chunk of items that grows when one in it changes. */
  readonly chunkRevs: number[];
  /** The text of the CLI's own result, once it told. */
  readonly result: { text: string; isError: boolean } | null;
  add(line: unknown): void;
  /** No line will follow: what is open stays as far as it came. */
  end(): void;
}

export function createFold(): Fold {
  const items: Item[] = [];
  const chunkRevs: number[] = [];
  const tools = new Map<string, number>();
  /** Open items of the message that is being written, by the index of their block; one set per helper. */
  const drafts = new Map<string, Map<number, number>>();
  let result: Fold["result"] = null;

  const touch = (at: number) => {
    items[at]!.rev++;
    const chunk = Math.floor(at / chunkSize);
    chunkRevs[chunk] = (chunkRevs[chunk] ?? 0) + 1;
  };
  const push = (item: Item): number => {
    const at = items.push(item) - 1;
    touch(at);
    return at;
  };
  const note = (text: string, tone: "quiet" | "bad" = "quiet") =>
    push({ kind: "note", text, tone, isNested: false, rev: 0 });
  const drop = (at: number) => {
    items[at] = { kind: "gone", isNested: false, rev: items[at]!.rev };
    touch(at);
  };
  const dropDrafts = (key: string) => {
    for (const at of drafts.get(key)?.values() ?? []) drop(at);
    drafts.set(key, new Map());
  };

  function openBlock(key: string, event: Json): void {
    const block = objectOf(event["content_block"]);
    const item = itemOf(block, key !== "");
    if (!item) return;
    const at = push(item);
    if (item.kind === "tool" && item.toolId) tools.set(item.toolId, at);
    draftsOf(drafts, key).set(numberOf(event["index"]), at);
  }
  function growBlock(key: string, event: Json): void {
    const at = draftsOf(drafts, key).get(numberOf(event["index"]));
    const item = at === undefined ? undefined : items[at];
    const delta = objectOf(event["delta"]);
    if (item?.kind !== "text" && item?.kind !== "thinking") return;
    item.text = capped(item.text + textOf(delta["text"] ?? delta["thinking"]));
    touch(at!);
  }
  function addPartial(key: string, event: Json): void {
    if (event["type"] === "message_start") dropDrafts(key);
    else if (event["type"] === "content_block_start") openBlock(key, event);
    else if (event["type"] === "content_block_delta") growBlock(key, event);
  }
  /** Each final block takes the place of the first open one of its kind. */
  function addAssistant(key: string, message: Json): void {
    const open = draftsOf(drafts, key);
    for (const block of blocksOf(message["content"])) {
      const item = itemOf(block, key !== "");
      if (!item) continue;
      item.isOpen = false;
      const draft = [...open].find(([, at]) => fits(items[at]!, item));
      const at = draft ? draft[1] : push(item);
      if (draft) {
        open.delete(draft[0]);
        items[at] = { ...item, rev: items[at]!.rev };
        touch(at);
      }
      if (item.kind === "tool" && item.toolId) tools.set(item.toolId, at);
    }
  }
  function addUser(key: string, message: Json): void {
    for (const block of blocksOf(message["content"])) {
      if (block["type"] === "tool_result") answerTool(block);
      else if (block["type"] === "text" && key === "") note(textOf(block["text"]));
    }
  }
  function answerTool(block: Json): void {
    const at = tools.get(textOf(block["tool_use_id"]));
    const output = capped(blocksOf(block["content"]).map(textOfBlock).join("\n"));
    const isError = block["is_error"] === true;
    const item = at === undefined ? undefined : items[at];
    if (item?.kind === "tool") {
      Object.assign(item, { output, isError, isOpen: false });
      touch(at!);
    } else push({ kind: "output", text: output, isNested: false, rev: 0 });
  }
  function addOutput(text: string, more: boolean): void {
    const last = items.at(-1);
    const line = more ? text : `${text}\n`;
    if (last?.kind === "output" && last.text.length + line.length <= outputChars) {
      last.text += line;
      touch(items.length - 1);
    } else for (const piece of cut(line)) push(piece);
  }
  function addSystem(line: Json): void {
    const subtype = textOf(line["subtype"]);
    if (subtype === "compact_boundary") note("The conversation got long; the agent summed up its beginning.");
  }

  return {
    items,
    chunkRevs,
    get result() {
      return result;
    },
    add(value) {
      const line = objectOf(value);
      const key = textOf(line["parent_tool_use_id"]);
      switch (line["type"]) {
        case "line":
          return addOutput(textOf(line["text"]), line["more"] === true);
        case "stream_event":
          return addPartial(key, objectOf(line["event"]));
        case "assistant":
          return addAssistant(key, objectOf(line["message"]));
        case "user":
          return addUser(key, objectOf(line["message"]));
        case "system":
          return addSystem(line);
        case "result":
          dropDrafts("");
          result = { text: textOf(line["result"]), isError: line["is_error"] === true };
          if (
            result.isError &&
            result.text &&
            !items.some((item) => item.kind === "text" && item.text === result!.text)
          )
            note(result.text, "bad");
          return;
        case "rate_limit_event":
          return;
        default:
          push({
            kind: "raw",
            name: textOf(line["type"]) || "unknown",
            text: capped(JSON.stringify(value, null, 2) ?? ""),
            isNested: false,
            rev: 0,
          });
      }
    },
    end() {
      for (const [at, item] of items.entries())
        if ("isOpen" in item && item.isOpen) {
          item.isOpen = false;
          touch(at);
        }
    },
  };
}

function itemOf(block: Json, isNested: boolean): TextItem | ToolItem | null {
  const base = { isNested, rev: 0, isOpen: true };
  switch (block["type"]) {
    case "text":
      return { kind: "text", text: capped(textOf(block["text"])), ...base };
    case "thinking":
      return { kind: "thinking", text: capped(textOf(block["thinking"])), ...base };
    case "tool_use":
    case "server_tool_use":
      return {
        kind: "tool",
        toolId: textOf(block["id"]),
        name: textOf(block["name"]) || "tool",
        input: Object.keys(objectOf(block["input"])).length > 0 ? objectOf(block["input"]) : null,
        output: null,
        isError: false,
        isUnfolded: null,
        ...base,
      };
    default:
      return null;
  }
}

/** Whether the final item is what the open one has been on the way to. */
function fits(open: Item, final: TextItem | ToolItem): boolean {
  if (open.kind !== final.kind || !("isOpen" in open) || !open.isOpen) return false;
  return open.kind !== "tool" || open.toolId === (final as ToolItem).toolId;
}

function cut(text: string): OutputItem[] {
  const pieces: OutputItem[] = [];
  for (let at = 0; at < text.length; at += outputChars)
    pieces.push({ kind: "output", text: text.slice(at, at + outputChars), isNested: false, rev: 0 });
  return pieces;
}

function draftsOf(drafts: Map<string, Map<number, number>>, key: string): Map<number, number> {
  const there = drafts.get(key);
  if (there) return there;
  const made = new Map<number, number>();
  drafts.set(key, made);
  return made;
}

const capped = (text: string) => (text.length <= mostChars ? text : `${text.slice(0, mostChars)}\n[…]`);
const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
const numberOf = (value: unknown): number => (typeof value === "number" ? value : -1);
const objectOf = (value: unknown): Json =>
  value !== null && typeof value === "object" && !Array.isArray(value) ? (value as Json) : {};
const blocksOf = (content: unknown): Json[] =>
  typeof content === "string" ? [{ type: "text", text: content }] : Array.isArray(content) ? content.map(objectOf) : [];
const textOfBlock = (block: Json): string =>
  block["type"] === "text" ? textOf(block["text"]) : `[${textOf(block["type"]) || "something"}]`;
