/** The difference of two texts by lines (Myers, 1986), and one that git has made. Pure; bounded, for the texts come from agents. */

export interface DiffLine {
  sign: "+" | "-" | " ";
  text: string;
}

const mostEdits = 600;

/** The lines of both in order. Texts that differ too much come as all old lines, then all new ones. */
export function diffLines(before: string, after: string): DiffLine[] {
  const a = splitLines(before);
  const b = splitLines(after);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const middle = diffMiddle(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const same = (lines: string[]): DiffLine[] => lines.map((text) => ({ sign: " ", text }));
  return [...same(a.slice(0, start)), ...middle, ...same(end > 0 ? a.slice(-end) : [])];
}

/** Lines, and numbers of equal ones that are left out. */
export type FoldedDiff = (DiffLine | number)[];

/** The lines of a unified diff of one file; none where it says in words alone what differs. */
export function readDiff(diff: string): FoldedDiff {
  const lines: FoldedDiff = [];
  let [next, before] = [0, 1];
  for (const line of diff.split("\n")) {
    const [, first, count = "1"] = /^@@ -(\d{1,9})(?:,(\d{1,9}))? \+/.exec(line) ?? [];
    if (first !== undefined) {
      // Of a place without lines the one before is named.
      next = Number(first) + (count === "0" ? 1 : 0);
      if (next > before) lines.push(next - before);
      before = next + Number(count);
    } else if (next > 0 && /^[-+ ]/.test(line)) {
      lines.push({ sign: line[0] as DiffLine["sign"], text: line.slice(1) });
    }
  }
  return lines;
}

/** Leaves `context` equal lines around each change; the rest becomes the number of lines left out. */
export function foldDiff(lines: DiffLine[], context = 3): FoldedDiff {
  const near = new Uint8Array(lines.length);
  for (const [at, line] of lines.entries())
    if (line.sign !== " ") near.fill(1, Math.max(0, at - context), Math.min(lines.length, at + context + 1));
  const folded: (DiffLine | number)[] = [];
  for (const [at, line] of lines.entries()) {
    if (near[at]) folded.push(line);
    else if (typeof folded.at(-1) === "number") folded[folded.length - 1] = (folded.at(-1) as number) + 1;
    else folded.push(1);
  }
  return folded;
}

const splitLines = (text: string) => (text === "" ? [] : text.replace(/\n$/, "").split("\n"));

function diffMiddle(a: string[], b: string[]): DiffLine[] {
  const trace = searchPath(a, b);
  return trace ? walkBack(a, b, trace) : replaceAll(a, b);
}

const replaceAll = (a: string[], b: string[]): DiffLine[] => [
  ...a.map((text) => ({ sign: "-" as const, text })),
  ...b.map((text) => ({ sign: "+" as const, text })),
];

/** For each number of edits the furthest points reached on each diagonal; null when there are too many edits. */
function searchPath(a: string[], b: string[]): Int32Array[] | null {
  const most = Math.min(a.length + b.length, mostEdits);
  const offset = most + 1;
  let furthest = new Int32Array(2 * offset + 1);
  const trace: Int32Array[] = [];
  for (let edits = 0; edits <= most; edits++) {
    trace.push(furthest.slice());
    for (let k = -edits; k <= edits; k += 2) {
      const isDown = k === -edits || (k !== edits && furthest[offset + k - 1]! < furthest[offset + k + 1]!);
      let x = isDown ? furthest[offset + k + 1]! : furthest[offset + k - 1]! + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      furthest[offset + k] = x;
      if (x >= a.length && x - k >= b.length) return trace;
    }
  }
  return null;
}

function walkBack(a: string[], b: string[], trace: Int32Array[]): DiffLine[] {
  const lines: DiffLine[] = [];
  let x = a.length;
  let y = b.length;
  for (let edits = trace.length - 1; edits >= 0; edits--) {
    const furthest = trace[edits]!;
    const offset = (furthest.length - 1) / 2;
    const k = x - y;
    const isDown = k === -edits || (k !== edits && furthest[offset + k - 1]! < furthest[offset + k + 1]!);
    const fromK = isDown ? k + 1 : k - 1;
    const fromX = edits === 0 ? 0 : furthest[offset + fromK]!;
    const fromY = edits === 0 ? 0 : fromX - fromK;
    while (x > fromX && y > fromY && x > 0 && y > 0) lines.push({ sign: " ", text: a[(y--, --x)]! });
    if (edits === 0) break;
    lines.push(isDown ? { sign: "+", text: b[--y]! } : { sign: "-", text: a[--x]! });
  }
  return lines.reverse();
}
