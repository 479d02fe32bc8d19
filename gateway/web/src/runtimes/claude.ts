/**
 * Claude Code, and the lines of its `stream-json`. Partial text (`stream_event`) grows an open item; the final `assistant` line
 * closes it with the text that counts. What agents print is hostile: every field is looked at before it is used.
 */
import { createWords } from "../i18n/language.ts";
import {
  blocksOf,
  capped,
  numberOf,
  objectOf,
  splitBlocks,
  textOf,
  textOfBlock,
  type Json,
} from "../transcript/fields.ts";
import type { Drawing, LineTypes } from "../transcript/fold.ts";
import type { Item, TextItem, ToolItem } from "../transcript/items.ts";
import { summarise } from "../transcript/tools.ts";
import type { Runtime, RuntimeWords } from "./runtime.ts";

export const claude: Runtime = {
  words: createWords<RuntimeWords>({
    en: {
      name: "Claude Code",
      placeholder: "What should it do?",
      emptyTitle: "Write the first message",
      empty: [
        "Say what you want as you would to a colleague who has a shell and an empty directory: which repository, what to change, how to check it.",
        "The agent remembers the conversation. Commands, edits and their output show up here while it works.",
      ],
      choice: "Claude Code",
    },
    ko: {
      name: "Claude Code",
      placeholder: "무엇을 할까요?",
      emptyTitle: "첫 메시지를 보내세요",
      empty: [
        "동료에게 일을 맡기듯 적어 주세요. 빈 디렉터리에서 시작하니 어떤 저장소에서 무엇을 바꾸고 어떻게 확인할지 알려 주면 돼요.",
        "에이전트는 대화를 기억해요. 작업하는 동안 명령과 수정 내용, 출력이 여기에 나타나요.",
      ],
      choice: "Claude Code",
    },
  }),
  example: null,
  hasModel: true,
  reads: true,
  dialect: (drawing) => linesOf({ drawing, tools: new Map(), drafts: new Map(), speaker: "", hasPrompt: false }),
};

interface State {
  drawing: Drawing;
  /** Where the call of a tool is, by its id. */
  tools: Map<string, number>;
  /** Open items of the message that is being written, by the index of their block; one set for each helper. */
  drafts: Map<string, Map<number, number>>;
  /** Whose items came last: of helpers at work side by side each says who goes on. */
  speaker: string;
  /** The message that began the run has been told. */
  hasPrompt: boolean;
}

const linesOf = (state: State): LineTypes => ({
  stream_event: (line) => addPartial(state, helperOf(line), objectOf(line["event"])),
  assistant(line) {
    addAssistant(state, helperOf(line), objectOf(line["message"]));
    if (helperOf(line) === "") noteContext(state, objectOf(objectOf(line["message"])["usage"]));
  },
  user: (line) =>
    line["isReplay"] === true
      ? addSaid(state, textOf(line["uuid"]), objectOf(line["message"]))
      : addUser(state, helperOf(line), objectOf(line["message"])),
  system(line) {
    if (line["subtype"] !== "compact_boundary") return;
    state.drawing.addNote({ notice: "summedUp" }, "quiet");
    state.drawing.context.usedTokens = null;
  },
  result: (line) => addResult(state, line),
  rate_limit_event: () => undefined,
  // What it asks stands in the run itself, with the answer's buttons.
  control_request: () => undefined,
  control_response: () => undefined,
  control_cancel_request: () => undefined,
  command_lifecycle: () => undefined,
});

/** The call that started the helper that a line is of; empty for the agent itself. */
const helperOf = (line: Json) => textOf(line["parent_tool_use_id"]);

function addPartial(state: State, helper: string, event: Json): void {
  if (event["type"] === "message_start") dropDrafts(state, helper);
  else if (event["type"] === "content_block_start") openBlock(state, helper, event);
  else if (event["type"] === "content_block_delta") growBlock(state, helper, event);
}

function openBlock(state: State, helper: string, event: Json): void {
  const item = itemOf(objectOf(event["content_block"]), helper !== "");
  if (!item) return;
  tellSpeaker(state, helper);
  const at = state.drawing.push(item);
  if (item.kind === "tool" && item.toolId) state.tools.set(item.toolId, at);
  draftsOf(state, helper).set(numberOf(event["index"]), at);
}

/** Says which helper goes on, where what stands above is not its own: what it was called for. */
function tellSpeaker(state: State, helper: string): void {
  const { items, push } = state.drawing;
  const at = state.tools.get(helper) ?? -1;
  const isBelowCall = at === items.length - 1;
  if (helper !== "" && helper !== state.speaker && !isBelowCall) {
    const call = items[at];
    const text = call?.kind === "tool" ? summarise(call) : "";
    if (text) push({ kind: "note", text: `↳ ${text}`, tone: "quiet", isNested: true, rev: 0 });
  }
  state.speaker = helper;
}

function growBlock(state: State, helper: string, event: Json): void {
  const { items, touch } = state.drawing;
  const at = draftsOf(state, helper).get(numberOf(event["index"])) ?? -1;
  const item = items[at];
  if (item?.kind !== "text" && item?.kind !== "thinking") return;
  const delta = objectOf(event["delta"]);
  item.text = capped(item.text + textOf(delta["text"] ?? delta["thinking"]));
  touch(at);
}

/** All that went to the model and came back is what the next call begins with. */
function noteContext({ drawing: { context } }: State, usage: Json): void {
  const parts = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"];
  const used = parts.reduce((sum, part) => sum + Math.max(0, numberOf(usage[part])), 0);
  if (used > 0) context.usedTokens = used;
}

/** Each final block takes the place of the first open one of its kind. */
function addAssistant(state: State, helper: string, message: Json): void {
  const { items, push, replace } = state.drawing;
  const open = draftsOf(state, helper);
  for (const block of blocksOf(message["content"])) {
    const item = itemOf(block, helper !== "");
    if (!item) continue;
    item.isOpen = false;
    const draft = [...open].find(([, at]) => isDraftOf(items[at]!, item));
    if (draft) open.delete(draft[0]);
    if (!draft) tellSpeaker(state, helper);
    const at = draft ? replace(draft[1], item) : push(item);
    if (item.kind === "tool" && item.toolId) state.tools.set(item.toolId, at);
  }
}

function addUser(state: State, helper: string, message: Json): void {
  for (const block of blocksOf(message["content"])) {
    if (block["type"] === "tool_result") answerTool(state, block);
    else if (block["type"] === "text" && helper === "") state.drawing.addNote(textOf(block["text"]), "quiet");
  }
}

/** What the CLI has taken: first the run's own message, which stands above, then words into the turn. */
function addSaid(state: State, id: string, message: Json): void {
  // Of the line break that makes text of a slash nobody knows who wrote it.
  const text = blocksOf(message["content"])
    .map(textOfBlock)
    .join("\n")
    .replace(/^\n(?=\/)/, "");
  if (state.hasPrompt) state.drawing.push({ kind: "said", id, text: capped(text), isNested: false, rev: 0 });
  state.hasPrompt = true;
}

function answerTool({ drawing, tools }: State, block: Json): void {
  const at = tools.get(textOf(block["tool_use_id"])) ?? -1;
  const item = drawing.items[at];
  const { text: output, pictures } = splitBlocks(blocksOf(block["content"]));
  if (item?.kind !== "tool") return void drawing.push({ kind: "output", text: output, isNested: false, rev: 0 });
  Object.assign(item, { output, pictures, isError: block["is_error"] === true, isOpen: false });
  drawing.touch(at);
}

/** The CLI's own conclusion. Mostly its text was the last message; an error may stand here alone. */
function addResult(state: State, line: Json): void {
  const { items, addNote, context } = state.drawing;
  dropDrafts(state, "");
  const limits = Object.values(objectOf(line["modelUsage"])).map((use) => numberOf(objectOf(use)["contextWindow"]));
  if (Math.max(...limits) > 0) context.limitTokens = Math.max(...limits);
  const text = textOf(line["result"]);
  if (line["is_error"] !== true || !text) return;
  if (!items.some((item) => item.kind === "text" && item.text === text)) addNote(text, "bad");
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
      return { kind: "tool", ...call, output: null, pictures: [], isError: false, isUnfolded: null, ...base };
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

function draftsOf({ drafts }: State, helper: string): Map<number, number> {
  const there = drafts.get(helper);
  if (there) return there;
  const made = new Map<number, number>();
  drafts.set(helper, made);
  return made;
}

function dropDrafts(state: State, helper: string): void {
  for (const at of draftsOf(state, helper).values()) state.drawing.drop(at);
  state.drafts.delete(helper);
}
