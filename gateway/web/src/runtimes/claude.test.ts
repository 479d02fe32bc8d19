/** How the lines of Claude Code become a transcript. */
import { describe, expect, test } from "vitest";
import { createFold, type Fold } from "../transcript/fold.ts";
import type { Item } from "../transcript/items.ts";
import { numberedLines } from "../transcript/tools.ts";
import { dialects } from "./runtimes.ts";

const fold = (...lines: unknown[]): Fold => {
  const made = createFold(dialects);
  for (const line of lines) made.add(line);
  return made;
};
const shown = ({ items }: Fold) => items.filter((item) => item.kind !== "gone");
const stream = (event: object) => ({ type: "stream_event", event, parent_tool_use_id: null });
const start = (index: number, content_block: object) => stream({ type: "content_block_start", index, content_block });
const text = (index: number, words: string) =>
  stream({ type: "content_block_delta", index, delta: { type: "text_delta", text: words } });
const assistant = (...content: object[]) => ({ type: "assistant", message: { content }, parent_tool_use_id: null });
const begin = stream({ type: "message_start", message: {} });

describe("partial text", () => {
  test("grows, and the final line takes its place", () => {
    const run = fold(begin, start(0, { type: "text", text: "" }), text(0, "Hel"), text(0, "lo"));
    expect(shown(run)).toMatchObject([{ kind: "text", text: "Hello", isOpen: true }]);
    run.add(assistant({ type: "text", text: "Hello!" }));
    expect(shown(run)).toMatchObject([{ kind: "text", text: "Hello!", isOpen: false }]);
  });

  test("of an answer that broke off goes when another one begins", () => {
    const run = fold(
      begin,
      start(0, { type: "text", text: "" }),
      text(0, "lost"),
      begin,
      start(0, { type: "text", text: "" }),
      text(0, "kept"),
    );
    expect(shown(run)).toMatchObject([{ text: "kept" }]);
  });

  test("stays as far as it came when the run ends", () => {
    const run = fold(begin, start(0, { type: "text", text: "" }), text(0, "half"));
    run.end();
    expect(shown(run)).toMatchObject([{ text: "half", isOpen: false }]);
  });

  test("of several blocks is replaced in order, each by its own", () => {
    const call = { type: "tool_use", id: "t1", name: "Bash", input: {} };
    const run = fold(begin, start(0, { type: "text", text: "" }), text(0, "a"), start(1, call));
    run.add(assistant({ type: "text", text: "A" }));
    run.add(assistant({ ...call, input: { command: "ls" } }));
    expect(shown(run)).toMatchObject([{ text: "A" }, { kind: "tool", input: { command: "ls" }, isOpen: false }]);
  });
});

describe("a tool call", () => {
  test("gets its output, wherever it stands", () => {
    const run = fold(
      assistant(
        { type: "tool_use", id: "t1", name: "Bash", input: { command: "ls" } },
        { type: "tool_use", id: "t2", name: "Read", input: {} },
      ),
      {
        type: "user",
        message: {
          content: [
            { type: "tool_result", tool_use_id: "t2", content: [{ type: "text", text: "two" }, { type: "image" }] },
          ],
        },
      },
      {
        type: "user",
        message: { content: [{ type: "tool_result", tool_use_id: "t1", content: "one", is_error: true }] },
      },
    );
    expect(shown(run)).toMatchObject([
      { output: "one", isError: true },
      { output: "two\n[image]", isError: false },
    ]);
  });

  test("of a helper is nested", () => {
    const run = fold({ ...assistant({ type: "text", text: "inner" }), parent_tool_use_id: "t1" });
    expect(shown(run)).toMatchObject([{ isNested: true }]);
  });
});

test("words into the turn show where they were taken, and neither the run's own message nor what is asked beside it", () => {
  const said = (text: string) => ({
    type: "user",
    uuid: `id of ${text}`,
    isReplay: true,
    message: { content: [{ type: "text", text }] },
  });
  const asks = { type: "control_request", request_id: "1", request: { subtype: "can_use_tool", tool_name: "Bash" } };
  const run = fold(
    said("Begin."),
    assistant({ type: "text", text: "Yes." }),
    said("And blue."),
    said("\n/status is down"),
    asks,
    {
      type: "command_lifecycle",
      state: "started",
    },
  );
  expect(shown(run)).toMatchObject([
    { kind: "text", text: "Yes." },
    { kind: "said", id: "id of And blue.", text: "And blue." },
    { kind: "said", text: "/status is down" },
  ]);
});

test("an error of the CLI is told once", () => {
  const result = { type: "result", is_error: true, result: "API Error: 401" };
  expect(shown(fold(result))).toMatchObject([{ kind: "note", text: "API Error: 401", tone: "bad" }]);
  expect(shown(fold(assistant({ type: "text", text: "API Error: 401" }), result))).toHaveLength(1);
});

test("what fits nothing is shown as it is or left out, and never throws", () => {
  const odd = [
    null,
    1,
    "x",
    [],
    {},
    { type: 7 },
    { type: "assistant" },
    { type: "assistant", message: { content: [null, 1, { type: "text", text: 5 }] } },
    { type: "user", message: { content: 3 } },
    { type: "stream_event", event: null },
    { type: "stream_event", event: { type: "content_block_delta", index: "0", delta: 1 } },
    { type: "user", message: { content: [{ type: "tool_result", tool_use_id: {}, content: { a: 1 } }] } },
    { type: "__proto__" },
  ];
  const kinds = shown(fold(...odd)).map((item: Item) => item.kind);
  expect(new Set(kinds)).toEqual(new Set(["raw", "text", "output"]));
});

test("what its lines tell of its context is of the conversation itself, not of its helpers, and nothing right after a summary", () => {
  const said = (usage: object, helper: string | null = null) => ({
    type: "assistant",
    message: { content: [], usage },
    parent_tool_use_id: helper,
  });
  const run = fold(
    said({ input_tokens: 10, cache_read_input_tokens: 900, cache_creation_input_tokens: 50, output_tokens: 40 }),
    said({ input_tokens: 7 }, "toolu_helper"),
    said({ input_tokens: "7" }),
    { type: "result", modelUsage: { small: { contextWindow: 200 }, large: { contextWindow: 2000 }, odd: null } },
  );
  expect(run.context).toEqual({ usedTokens: 1000, limitTokens: 2000 });
  run.add({ type: "system", subtype: "compact_boundary" });
  expect(run.context).toEqual({ usedTokens: null, limitTokens: 2000 });
});

describe("a tool's answer", () => {
  const call = (id: string, name: string, input: object, helper: string | null = null) => ({
    type: "assistant",
    message: { content: [{ type: "tool_use", id, name, input }] },
    parent_tool_use_id: helper,
  });
  const answer = (tool_use_id: string, content: unknown) => ({
    type: "user",
    message: { content: [{ type: "tool_result", tool_use_id, content }] },
    parent_tool_use_id: null,
  });
  const image = (media_type: string, data: unknown) => ({
    type: "image",
    source: { type: "base64", media_type, data },
  });

  test("has the pictures that a browser may draw; what is none stays a word", () => {
    const svg = image("image/svg+xml", "PHN2Zz4=");
    const run = fold(
      call("t1", "Read", { file_path: "a.png" }),
      answer("t1", [image("image/png", "AAAA"), svg, image("image/png", "<script>"), image("image/png", 7)]),
    );
    const [item] = shown(run);
    expect(item).toMatchObject({
      pictures: [{ mediaType: "image/png", data: "AAAA" }],
      output: "[image]\n[image]\n[image]",
    });
  });

  test("of Read has the file's lines apart from their numbers, and of others none", () => {
    const output = "     9→nine\n    10→\tten → 10\n\n<note>";
    expect(numberedLines({ name: "Read", output })).toEqual({
      numbers: ["9", "10"],
      texts: ["nine", "\tten → 10"],
      rest: "<note>",
    });
    expect(numberedLines({ name: "Read", output: "No such file" })).toBe(null);
    expect(numberedLines({ name: "Bash", output })).toBe(null);
  });

  test("of helpers at work side by side: each says who goes on, where what stands above is not its own", () => {
    const run = fold(
      call("a", "Task", { description: "Find the leak" }),
      call("x", "Bash", { command: "1" }, "a"),
      call("b", "Task", { description: "Paint" }),
      call("y", "Bash", { command: "2" }, "b"),
      call("z", "Bash", { command: "3" }, "a"),
      call("w", "Bash", { command: "4" }, "a"),
    );
    const drawn = shown(run).map((item) =>
      item.kind === "tool" ? [item.isNested, item.toolId] : item.kind === "note" && [item.isNested, item.text],
    );
    expect(drawn).toEqual([
      [false, "a"],
      [true, "x"],
      [false, "b"],
      [true, "y"],
      [true, "↳ Find the leak"],
      [true, "z"],
      [true, "w"],
    ]);
  });
});
