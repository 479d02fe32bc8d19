/**
 * Folds the lines of a run into items: Berth's own by itself, every other line by the dialect that knows its type. A line
 * that nobody knows is shown as it is.
 */
import { capped, objectOf, textOf, type Json } from "./fields.ts";
import type { Item, NoteText, OutputItem } from "./items.ts";

/** Items that are drawn together. */
export const chunkSize = 32;
/** One item of plain output holds at most this many characters, so that none is too much to draw at once. */
const outputChars = 4000;
/** Beyond this many characters of plain output the oldest is let go: the log on the host has all. */
const mostOutputChars = 24_000_000;

/** What the conversation takes of its model's context, as far as the lines tell it. */
interface ContextSeen {
  usedTokens: number | null;
  limitTokens: number | null;
}

export interface Fold {
  readonly items: Item[];
  readonly context: ContextSeen;
  /** A number for each chunk of items that grows when one in it changes. */
  readonly chunkRevs: number[];
  add(line: unknown): void;
  /** No line will follow: what is open stays as far as it came. */
  end(): void;
}

/** What a dialect draws with. An item that it changes in place is to be touched. */
export interface Drawing {
  readonly items: readonly Item[];
  readonly context: ContextSeen;
  /** Answers where the item is. */
  push(item: Item): number;
  replace(at: number, item: Item): number;
  drop(at: number): void;
  touch(at: number): void;
  addNote(text: NoteText, tone: "quiet" | "bad"): void;
}
export type LineTypes = Record<string, (line: Json) => void>;
/** Lines of one CLI by their `type`, with what must be kept from one line to the next. */
export type Dialect = (drawing: Drawing) => LineTypes;

export function createFold(dialects: Dialect[]): Fold {
  const chunkRevs: number[] = [];
  const drawing = createDrawing(chunkRevs);
  const { items, push } = drawing;
  const addOutput = createOutput(drawing);
  const known = new Map(dialects.flatMap((dialect) => Object.entries(dialect(drawing))));
  known.set("line", (line) => addOutput(textOf(line["text"]), line["more"] === true));
  known.set("session_missing", () => drawing.addNote({ notice: "sessionMissing" }, "bad"));
  known.set("repaired", (line) => drawing.addNote(textOf(line["message"]), "bad"));
  known.set("prepared", (line) => drawing.addNote(textOf(line["message"]), "quiet"));
  return {
    items,
    context: drawing.context,
    chunkRevs,
    add(value) {
      const line = objectOf(value);
      const type = textOf(line["type"]);
      const draw = known.get(type);
      if (draw) return draw(line);
      const text = capped(JSON.stringify(value, null, 2) ?? "");
      push({ kind: "raw", name: type || "unknown", text, isNested: false, rev: 0 });
    },
    end() {
      for (const [at, item] of items.entries()) {
        if (!("isOpen" in item) || !item.isOpen) continue;
        item.isOpen = false;
        drawing.touch(at);
      }
    },
  };
}

function createDrawing(chunkRevs: number[]) {
  const items: Item[] = [];
  const touch = (at: number) => {
    items[at]!.rev++;
    const chunk = Math.floor(at / chunkSize);
    chunkRevs[chunk] = (chunkRevs[chunk] ?? 0) + 1;
  };
  const push = (item: Item) => {
    const at = items.push(item) - 1;
    touch(at);
    return at;
  };
  const replace = (at: number, item: Item) => {
    items[at] = { ...item, rev: items[at]!.rev };
    touch(at);
    return at;
  };
  const context: ContextSeen = { usedTokens: null, limitTokens: null };
  return {
    items,
    context,
    touch,
    push,
    replace,
    drop: (at: number) => void replace(at, { kind: "gone", isNested: false, rev: 0 }),
    addNote: (text: NoteText, tone: "quiet" | "bad") =>
      void push({ kind: "note", text, tone, isNested: false, rev: 0 }),
  };
}

/** Plain output, its lines gathered in items of a bounded size; the oldest go when it is too much in all. */
function createOutput({ items, push, replace, drop, touch }: Drawing) {
  let chars = 0;
  /** The first item of it that is still here. */
  let first = 0;
  const dropOldest = () => {
    for (; chars > mostOutputChars * 0.9 && first < items.length; first++) {
      const item = items[first]!;
      if (item.kind !== "output") continue;
      chars -= item.text.length;
      drop(first);
    }
    const firstGone = items.findIndex((item) => item.kind === "gone");
    replace(firstGone, { kind: "note", text: { notice: "outputDropped" }, tone: "quiet", isNested: false, rev: 0 });
  };
  return (text: string, more: boolean) => {
    const line = more ? text : `${text}\n`;
    const last = items.at(-1);
    chars += line.length;
    if (last?.kind === "output" && last.text.length + line.length <= outputChars) {
      last.text += line;
      touch(items.length - 1);
    } else for (const piece of cut(line)) push(piece);
    if (chars > mostOutputChars) dropOldest();
  };
}

function cut(text: string): OutputItem[] {
  const pieces: OutputItem[] = [];
  for (let at = 0; at < text.length;) {
    // Not within a character of two halves.
    const end = at + outputChars - (/[\ud800-\udbff]/.test(text[at + outputChars - 1] ?? "") ? 1 : 0);
    pieces.push({ kind: "output", text: text.slice(at, end), isNested: false, rev: 0 });
    at = end;
  }
  return pieces;
}
