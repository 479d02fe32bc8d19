/** A conversation as one Markdown file: each message, below it the result, and how it ended. What is no Markdown stands as code. Pure. */
import type { Run } from "@berth/shared/resources";
import { formatCost, formatTime } from "./format.ts";
import { tellRun } from "./words.ts";

/** `runs` in the order in which they were sent; `isScript`: messages are scripts, and results what they printed. */
export function conversationFile(title: string, runs: Run[], isScript: boolean): string {
  const name = title.replaceAll(/[\\`*_[\]<>#]/g, String.raw`\$&`);
  return [`# ${name}`, ...runs.map((run) => partOf(run, isScript))].join("\n\n") + "\n";
}

function partOf(run: Run, isScript: boolean): string {
  const result = run.result?.trim();
  const end = `*${tellRun(run).short} · ${formatCost(run.usage.costUsd)}*`;
  const message = isScript ? codeOf(run.prompt) : quoteOf(run.prompt);
  const said = result && (isScript ? codeOf(result) : closed(result));
  return [`## ${formatTime(run.createdAt)}`, message, said, end].filter(Boolean).join("\n\n");
}

const quoteOf = (text: string) => text.replaceAll(/^.*$/gm, (line) => `> ${line}`.trimEnd());

/** Between fences longer than any in it. */
function codeOf(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}

/** With the fence that an answer left open: else all that follows would be code. */
function closed(text: string): string {
  let open: string | null = null;
  for (const [, fence, rest] of text.matchAll(/^ {0,3}(`{3,}|~{3,})(.*)$/gm)) {
    if (open === null) open = fence!;
    else if (fence![0] === open[0] && fence!.length >= open.length && !rest!.trim()) open = null;
  }
  return open === null ? text : `${text}\n${open}`;
}
