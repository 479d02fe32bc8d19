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

const pictureTypes = ["image/png", "image/jpeg", "image/gif", "image/webp"];
/** Of one picture in base64, and how many one answer may have. */
const [mostPictureChars, mostPictures] = [8_000_000, 20];

/** The block as a picture that a browser may draw, or null. */
function pictureOf(block: Json): { mediaType: string; data: string } | null {
  const source = objectOf(block["source"]);
  const [mediaType, data] = [textOf(source["media_type"]), textOf(source["data"])];
  const isOne = block["type"] === "image" && pictureTypes.includes(mediaType) && /^[A-Za-z0-9+/]+={0,2}$/.test(data);
  return isOne && data.length % 4 === 0 && data.length <= mostPictureChars ? { mediaType, data } : null;
}

/** The pictures among the blocks, and all else as text. */
export function splitBlocks(blocks: Json[]) {
  const drawn = blocks.map((block) => ({ block, picture: pictureOf(block) }));
  const pictures = drawn.flatMap(({ picture }) => picture ?? []).slice(0, mostPictures);
  const others = drawn.filter(({ picture }) => picture === null || !pictures.includes(picture));
  return { pictures, text: capped(others.map(({ block }) => textOfBlock(block)).join("\n")) };
}

/** A block as text; what is none, by its name. */
export const textOfBlock = (block: Json): string =>
  block["type"] === "text" ? textOf(block["text"]) : `[${textOf(block["type"]) || "something"}]`;
