/** Text that came out of a container, made fit to show: no terminal codes, nothing invisible that changes how the rest reads. Pure. */

// oxlint-disable-next-line no-control-regex -- these are what is looked for
const terminalCodes = /\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]{0,4096}(?:\u0007|\u001b\\)|\u001b[ -/]*[0-~]/g;
// oxlint-disable-next-line no-control-regex -- these are what is looked for
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
const directions = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** Colours and cursor moves go, other control characters become visible signs, overrides of the writing direction too. */
export function showable(text: string): string {
  return (text.includes("\r") ? overwriteLines(text) : text)
    .replace(terminalCodes, "")
    .replace(controls, (char) => (char < " " ? String.fromCharCode(0x2400 + char.charCodeAt(0)) : "␡"))
    .replace(directions, (char) => `⟨U+${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

/** Korean where the text has Hangul: its lines break between words. Undefined is the page's own language. */
export const languageOf = (text: string) => (/[가-힣]/.test(text) ? "ko" : undefined);

/** At most `most` characters of the text, cut at a line where that loses little. */
export function headOf(text: string, most: number): string {
  if (text.length <= most) return text;
  const newline = text.lastIndexOf("\n", most);
  return text.slice(0, newline > most * 0.8 ? newline : most);
}

/** The last line with something in it, at most `most` characters. */
export function lastLine(text: string, most = 160): string {
  const line =
    text
      .slice(-4000)
      .trimEnd()
      .split("\n")
      .findLast((part) => part.trim()) ?? "";
  return showable(line.trim()).slice(0, most);
}

/** The beginning of a text in one line, without the signs of Markdown; tables and code are passed over. */
export function inOneLine(text: string, most = 200): string {
  const lines = text.slice(0, 4 * most).split("\n");
  const words = lines.filter((line) => !/^\s*(\||```|[-*_]{3})/.test(line)).join(" ") || lines.join(" ");
  return showable(words)
    .replace(/(^|\s)#+ |\*\*|`/g, "$1")
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, most);
}

/** A carriage return goes back to the start of its line, as progress bars do: what was written last is what shows. */
export function overwriteLines(text: string): string {
  return text.split("\n").map(shownOf).join("\n");
}

/** Without a pattern: one that looks for the last returns begins anew at each of them. */
function shownOf(line: string): string {
  let end = line.length;
  while (line[end - 1] === "\r") end--;
  return line.slice(line.lastIndexOf("\r", end - 1) + 1, end);
}
