/** A conversation as one Markdown file: each message quoted, below it the result, and how it ended. Pure. */
import type { Run } from "@berth/shared/resources";
import { formatCost, formatTime } from "./format.ts";
import { tellRun } from "./words.ts";

/** `runs` in the order in which they were sent. */
export function conversationFile(title: string, runs: Run[]): string {
  return [`# ${title}`, ...runs.map(partOf)].join("\n\n") + "\n";
}

function partOf(run: Run): string {
  const message = run.prompt
    .split("\n")
    .map((line) => `> ${line}`.trimEnd())
    .join("\n");
  const end = `*${tellRun(run).short} · ${formatCost(run.usage.costUsd)}*`;
  return [`## ${formatTime(run.createdAt)}`, message, run.result?.trim(), end].filter(Boolean).join("\n\n");
}
