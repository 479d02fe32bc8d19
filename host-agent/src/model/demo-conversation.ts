/** What the demo model needs to know of a conversation: the last prompt, what its tool answered since, how many prompts there were. */

interface ContentBlock {
  type?: string;
  text?: string;
  content?: string | ContentBlock[];
  is_error?: boolean;
}
export interface Message {
  role?: string;
  content?: string | ContentBlock[];
}
/** The part of a Messages call that the demo model looks at. */
export interface MessagesRequest {
  messages: Message[];
  tools?: { name?: string }[];
  stream?: boolean;
}
export interface Conversation {
  prompt: string;
  /** The last tool result after the prompt. */
  toolResult: { text: string; isError: boolean } | null;
}

export function readConversation(messages: Message[]): Conversation {
  const at = messages.findLastIndex((message) => promptOf(message) !== null);
  const result = messages
    .slice(at + 1)
    .flatMap(blocksOf)
    .findLast((block) => block.type === "tool_result");
  return {
    prompt: (messages[at] && promptOf(messages[at])) ?? "",
    toolResult: result ? { text: textOf(result.content), isError: result.is_error === true } : null,
  };
}

/** How many messages a person sent in this conversation. */
export function countPrompts(messages: Message[]): number {
  return messages.filter((message) => promptOf(message) !== null).length;
}

/**
 * What a person wrote last in this message: not the CLI's reminders, not an earlier prompt that failed (the CLI sends both as one message),
 * and nothing in a message that brings tool results.
 */
function promptOf(message: Message): string | null {
  const blocks = blocksOf(message);
  if (message.role !== "user" || blocks.some((block) => block.type === "tool_result")) return null;
  const texts = blocks
    .map((block) => block.text ?? "")
    .filter((text) => text.trim() && !text.startsWith("<system-reminder>"));
  return texts.at(-1) ?? null;
}

const blocksOf = ({ content }: Message): ContentBlock[] =>
  typeof content === "string" ? [{ type: "text", text: content }] : Array.isArray(content) ? content : [];

function textOf(content: ContentBlock["content"]): string {
  return blocksOf({ content: content ?? "" })
    .map((block) => block.text ?? "")
    .join("\n");
}
