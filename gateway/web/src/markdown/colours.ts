/** Which pieces of a code block are keywords, strings, comments …: by rules that are loaded when the first block needs them. */
import type { ShjLanguage } from "@speed-highlight/core";
import { tokenize } from "./tokens.ts";

/** A piece of the text, and what it is; null is nothing special. */
export type Token = [text: string, type: string | null];

/** Its rules look ahead as far as a line goes, so that long ones could hold up the page: who writes them may be anybody. */
const mostChars = 4000;
const mostLineChars = 400;

const sameNames: ShjLanguage[] = ["bash", "c", "css", "diff", "go", "html", "ini", "java", "js", "json", "lua", "make"];
const moreNames: ShjLanguage[] = ["docker", "py", "rs", "sql", "toml", "ts", "xml", "yaml"];
/** Names of languages, and by whose rules each is coloured. */
export const kinds: Record<string, ShjLanguage> = {
  ...Object.fromEntries([...sameNames, ...moreNames].map((kind) => [kind, kind])),
  sh: "bash",
  shell: "bash",
  zsh: "bash",
  console: "bash",
  cpp: "c",
  "c++": "c",
  h: "c",
  cs: "java",
  kotlin: "java",
  dockerfile: "docker",
  golang: "go",
  javascript: "js",
  jsx: "js",
  mjs: "js",
  jsonc: "json",
  makefile: "make",
  patch: "diff",
  python: "py",
  rust: "rs",
  svg: "xml",
  tsx: "ts",
  typescript: "ts",
  yml: "yaml",
};

/** By whose rules the block is coloured; null is not at all. */
export function colourKindOf(text: string, language: string): ShjLanguage | null {
  const name = language.toLowerCase();
  if (text.length > mostChars || !Object.hasOwn(kinds, name)) return null;
  return text.split("\n").every((line) => line.length <= mostLineChars) ? kinds[name]! : null;
}

/** The text in pieces, which joined are the text. Rejects where the rules cannot be loaded. */
export async function colourTokens(text: string, kind: ShjLanguage): Promise<Token[]> {
  const tokens: Token[] = [];
  await tokenize(text, kind, (part, type) => tokens.push([part, type ?? null]));
  return tokens;
}
