/** Fields of what an agent printed: whatever they are, these answer the type that is wanted. Pure. */

export type Json = Record<string, unknown>;

/** What is kept of one text or tool output; the log on the host has all. */
const mostChars = 1_000_000;

export const capped = (text: string) => (text.length <= mostChars ? text : `${text.slice(0, mostChars)}\n[…]`);
export const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
export const numberOf = (value: unknown): number => (typeof value === "number" ? value : -1);
export const objectOf = (value: unknown): Json =>
  value !== null && typeof value === "object" && !Array.isArray(value) ? (value as Json) : {};

/** The blocks of a message's content, which may be a text alone. */
export const blocksOf = (content: unknown): Json[] =>
  typeof content === "string" ? [{ type: "text", text: content }] : Array.isArray(content) ? content.map(objectOf) : [];

/** A block as text; what is none, by its name. */
export const textOfBlock = (block: Json): string =>
  block["type"] === "text" ? textOf(block["text"]) : `[${textOf(block["type"]) || "something"}]`;
