/**
 * Markdown within a paragraph (CommonMark 0.31, sections 2 and 6, with GFM's ~~ and bare addresses), in one pass whose time
 * grows with the text and no faster: what agents write is hostile. HTML and reference links stay text. Pure.
 */

export type Inline =
  | string
  | { type: "strong" | "em" | "del"; children: Inline[] }
  | { type: "link" | "image"; href: string; children: Inline[] }
  | { type: "code"; text: string }
  | { type: "break" };

/** What is open: emphasis or a bracket, with what came since. */
interface Frame {
  mark: "*" | "_" | "~" | "[" | "";
  /** The mark as written, should it turn out to be text. */
  raw: string;
  children: Inline[];
}
interface Scan {
  text: string;
  at: number;
  /** Text that is not in a frame yet. */
  pending: string;
  frames: Frame[];
  ticks: Map<number, number[]>;
}

const deepest = 32;
const address = /https?:\/\/[^\s<>()[\]"`]{1,2000}/y;
const angled = /<((?:https?:\/\/|mailto:)[^\s<>]{1,2000})>/y;
const target =
  /\(\s{0,9}(<[^<>\n]{0,2000}>|[^\s()<>]{0,2000}(?:\([^\s()<>]{0,500}\)[^\s()<>]{0,500})?)(?:\s{1,9}(?:"[^"]{0,500}"|'[^']{0,500}'))?\s{0,9}\)/y;
const plain = /[^\\`*_~[\]!<h&\n]+/y;
const reference = /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(amp|lt|gt|quot|apos|nbsp));/iy;
const named: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

/** The parts of a paragraph; each newline is a break. */
export function parseInline(text: string): Inline[] {
  const scan: Scan = {
    text,
    at: 0,
    pending: "",
    frames: [{ mark: "", raw: "", children: [] }],
    ticks: findTicks(text),
  };
  while (scan.at < text.length) step(scan);
  collapse(scan, 0);
  return scan.frames[0]!.children;
}

function step(scan: Scan): void {
  const { text, at } = scan;
  const run = matchAt(plain, text, at);
  if (run) return take(scan, run[0]);
  switch (text[at]) {
    case "\\":
      return /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "") ? take(scan, text[at + 1]!, 2) : take(scan, "\\");
    case "`":
      return takeCode(scan);
    case "*":
    case "_":
    case "~":
      return takeEmphasis(scan, text[at]);
    case "!":
      return text[at + 1] === "[" ? openBracket(scan, "![") : take(scan, "!");
    case "[":
      return openBracket(scan, "[");
    case "]":
      return closeBracket(scan);
    case "<":
      return takeAddress(scan, matchAt(angled, text, at));
    case "h":
      return takeAddress(scan, /\w/.test(text[at - 1] ?? "") ? null : matchAt(address, text, at));
    case "&":
      return takeReference(scan);
    default:
      add(scan, { type: "break" }, 1);
  }
}

/** Adds text and goes on. */
function take(scan: Scan, text: string, length = text.length): void {
  scan.pending += text;
  scan.at += length;
}

function add(scan: Scan, node: Inline, length: number): void {
  flush(scan);
  scan.frames.at(-1)!.children.push(node);
  scan.at += length;
}

function flush(scan: Scan): void {
  if (scan.pending) scan.frames.at(-1)!.children.push(scan.pending);
  scan.pending = "";
}

function takeCode(scan: Scan): void {
  const { text, at, ticks } = scan;
  const length = runLength(text, at);
  const closers = ticks.get(length)!;
  while (closers.length > 0 && closers.at(-1)! <= at) closers.pop();
  const end = closers.at(-1);
  if (end === undefined) return take(scan, "`".repeat(length));
  const inside = text.slice(at + length, end).replaceAll("\n", " ");
  const isPadded = inside.length > 2 && inside.startsWith(" ") && inside.endsWith(" ") && inside.trim() !== "";
  add(scan, { type: "code", text: isPadded ? inside.slice(1, -1) : inside }, end + length - at);
}

/** Where runs of backticks are, by their length; the next one last. */
function findTicks(text: string): Map<number, number[]> {
  const ticks = new Map<number, number[]>();
  for (const { 0: run, index } of text.matchAll(/`+/g)) {
    const places = ticks.get(run.length);
    if (places) places.push(index);
    else ticks.set(run.length, [index]);
  }
  for (const places of ticks.values()) places.reverse();
  return ticks;
}

function takeEmphasis(scan: Scan, mark: "*" | "_" | "~"): void {
  const { text, at } = scan;
  const length = runLength(text, at);
  const { canOpen, canClose } = flanks(text, at, length, mark);
  scan.at += length;
  let left = mark === "~" ? (length === 2 ? 2 : 0) : Math.min(length, 3);
  if (left === 0 || length > 3) return void (scan.pending += text.slice(at, at + length));
  while (left > 0) {
    const opener = canClose ? scan.frames.findLastIndex((frame) => frame.mark === mark) : -1;
    if (opener < 1) break;
    left -= close(scan, opener, left);
  }
  if (left === 0) return;
  if (!canOpen || scan.frames.length > deepest) return void (scan.pending += mark.repeat(left));
  flush(scan);
  scan.frames.push({ mark, raw: mark.repeat(left), children: [] });
}

/** Ends the emphasis that the frame opened, with as many marks as both have; answers how many that were. */
function close(scan: Scan, opener: number, length: number): number {
  collapse(scan, opener);
  const frame = scan.frames.pop()!;
  const used = Math.min(frame.raw.length, length, 2);
  const type = frame.mark === "~" ? "del" : used === 2 ? "strong" : "em";
  const node: Inline = { type, children: frame.children };
  const left = frame.raw.slice(used);
  if (left) scan.frames.push({ mark: frame.mark, raw: left, children: [node] });
  else scan.frames.at(-1)!.children.push(node);
  return used;
}

/** What was opened above the frame and never closed becomes text in it. */
function collapse(scan: Scan, to: number): void {
  flush(scan);
  for (const frame of scan.frames.splice(to + 1)) {
    const { children } = scan.frames[to]!;
    children.push(frame.raw);
    for (const child of frame.children) children.push(child);
  }
}

/** Whether a run of marks may begin or end emphasis, by its neighbours (CommonMark, section 6.2). */
function flanks(text: string, at: number, length: number, mark: string): { canOpen: boolean; canClose: boolean } {
  const before = text[at - 1] ?? " ";
  const after = text[at + length] ?? " ";
  const isSpace = (char: string) => /\s/.test(char);
  const isSign = (char: string) => /[\p{P}\p{S}]/u.test(char);
  const isLeft = !isSpace(after) && (!isSign(after) || isSpace(before) || isSign(before));
  const isRight = !isSpace(before) && (!isSign(before) || isSpace(after) || isSign(after));
  if (mark !== "_") return { canOpen: isLeft, canClose: isRight };
  return { canOpen: isLeft && (!isRight || isSign(before)), canClose: isRight && (!isLeft || isSign(after)) };
}

function openBracket(scan: Scan, raw: "[" | "!["): void {
  if (scan.frames.length > deepest) return take(scan, raw);
  flush(scan);
  scan.frames.push({ mark: "[", raw, children: [] });
  scan.at += raw.length;
}

function closeBracket(scan: Scan): void {
  const opener = scan.frames.findLastIndex((frame) => frame.mark === "[");
  const found = opener < 1 ? null : matchAt(target, scan.text, scan.at + 1);
  if (!found) {
    if (opener > 0) scan.frames[opener]!.mark = "";
    return take(scan, "]");
  }
  collapse(scan, opener);
  const { raw, children } = scan.frames.pop()!;
  const href = found[1]!.replace(/^<|>$/g, "").replace(/\\([!-/:-@[-`{-~])/g, "$1");
  add(scan, { type: raw === "![" ? "image" : "link", href, children }, found[0].length + 1);
}

function takeAddress(scan: Scan, found: RegExpExecArray | null): void {
  if (!found) return take(scan, scan.text[scan.at]!);
  const isAngled = found[1] !== undefined;
  const href = isAngled ? found[1]! : found[0].replace(/[.,:;!?'*_~]{1,100}$/, "");
  add(scan, { type: "link", href, children: [href] }, isAngled ? found[0].length : href.length);
}

function takeReference(scan: Scan): void {
  const found = matchAt(reference, scan.text, scan.at);
  if (!found) return take(scan, "&");
  const [whole, decimal, hex, name] = found;
  const code = decimal ? Number(decimal) : Number.parseInt(hex ?? "0", 16);
  const isVisible = code > 31 && code < 0x11_0000;
  take(scan, name ? named[name.toLowerCase()]! : isVisible ? String.fromCodePoint(code) : whole, whole.length);
}

function runLength(text: string, at: number): number {
  let end = at;
  while (text[end] === text[at]) end++;
  return end - at;
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}
