/** What a tool call is about, in a few words, and the edits in it. Pure. */
import { diffLines, type DiffLine } from "./diff.ts";
import { textOf } from "./fields.ts";
import type { ToolItem } from "./items.ts";

type Call = Pick<ToolItem, "name" | "input">;

/** What stands beside the tool's name while it is folded. */
export function summarise({ name, input }: Call): string {
  const text = (key: string) => textOf(input?.[key]);
  switch (name) {
    case "Bash":
      return firstLine(text("command"));
    case "Read":
    case "Write":
    case "Edit":
    case "MultiEdit":
    case "NotebookEdit":
      return shortPath(text("file_path") || text("notebook_path"));
    case "Grep":
    case "Glob":
      return [text("pattern"), shortPath(text("path"))].filter(Boolean).join(" in ");
    default:
      return firstLine(text("description") || text("query") || text("url") || text("prompt") || text("subject"));
  }
}

interface FileEdit {
  path: string;
  lines: DiffLine[];
}

/** The edit of a file that the call makes, or null. */
export function editOf({ name, input }: Call): FileEdit | null {
  if (!input) return null;
  const path = textOf(input["file_path"]);
  if (name === "Write") return { path, lines: diffLines("", textOf(input["content"])) };
  if (name === "Edit") return { path, lines: diffLines(textOf(input["old_string"]), textOf(input["new_string"])) };
  if (name === "MultiEdit" && Array.isArray(input["edits"])) {
    const edits = input["edits"].slice(0, 200) as ({ old_string?: unknown; new_string?: unknown } | null)[];
    return { path, lines: edits.flatMap((edit) => diffLines(textOf(edit?.old_string), textOf(edit?.new_string))) };
  }
  return null;
}

interface Todo {
  text: string;
  state: "done" | "doing" | "open";
}

/** The list of what is to do that the call writes, or null. */
export function todosOf({ name, input }: Call): Todo[] | null {
  const todos = name === "TodoWrite" ? input?.["todos"] : null;
  if (!Array.isArray(todos)) return null;
  return todos.slice(0, 200).map((todo: { content?: unknown; status?: unknown } | null) => ({
    text: textOf(todo?.content).slice(0, 500),
    state: todo?.status === "completed" ? "done" : todo?.status === "in_progress" ? "doing" : "open",
  }));
}

/** The prose that the call hands on, as Markdown: a plan to a person, a task to a helper. */
export function proseOf({ name, input }: Call): string | null {
  const prose = input?.[name === "ExitPlanMode" ? "plan" : "prompt"];
  return ["ExitPlanMode", "Task", "Agent"].includes(name) && typeof prose === "string" ? prose : null;
}

/** What `Read` has answered: the lines with their numbers in the file, and what the CLI says below them; null for any other answer. */
export function numberedLines({ name, output }: Pick<ToolItem, "name" | "output">) {
  if (name !== "Read" || !output) return null;
  const numbers: string[] = [];
  const texts: string[] = [];
  const lines = output.split("\n");
  for (const line of lines) {
    const found = /^ *(\d{1,7})[→\t](.*)$/.exec(line);
    if (!found) break;
    numbers.push(found[1]!);
    texts.push(found[2]!);
  }
  return numbers.length === 0 ? null : { numbers, texts, rest: lines.slice(numbers.length).join("\n").trim() };
}

/** The input as it is, for what has no picture of its own. */
export function inputText({ name, input }: Call): string {
  if (!input) return "";
  if (name === "Bash" && typeof input["command"] === "string") return input["command"];
  return JSON.stringify(input, null, 2);
}

const firstLine = (text: string) => text.trim().split("\n", 1)[0]!.slice(0, 200);
/** Without the agent's own directory, in which most paths are. */
export const shortPath = (path: string) => path.replace(/^\/workspace\/agent-[A-Za-z0-9_-]+\//, "");

/** Names a call by what it does: the same one done again has the same name. */
export const callOf = ({ name, input }: Pick<ToolItem, "name" | "input">) => `${name} ${JSON.stringify(input)}`;
