/**
 * Code in pieces, by the rules of its language: those of a library, of which a page loads the languages that it shows. The
 * library's own function has all of them in one file.
 */
import type { ShjLanguage } from "@speed-highlight/core";
import * as todo from "@speed-highlight/core/languages/todo.js";

interface Rule {
  match: { lastIndex: number; exec(text: string): { index: number; 0: string } | null };
  type?: string;
  /** What splits a match further: a language, or rules of its own. */
  sub?: string | Written[];
}
type Written = Rule | { expand: keyof typeof common };
/** `type` is what is said of what no rule matches. */
interface Language {
  default: Written[];
  type?: string;
}

/** What rules of many languages name. */
const common = {
  num: { type: "num", match: /(\.e?|\b)\d(e-|[\d.oxa-fA-F_])*(\.|\b)/g },
  str: { type: "str", match: /(["'])(\\[^]|(?!\1)[^\r\n\\])*\1?/g },
  strDouble: { type: "str", match: /"((?!")[^\r\n\\]|\\[^])*"?/g },
} satisfies Record<string, Rule>;

const languages: Partial<Record<ShjLanguage | "js_template_literals", () => Promise<unknown>>> = {
  asm: () => import("@speed-highlight/core/languages/asm.js"),
  bash: () => import("@speed-highlight/core/languages/bash.js"),
  c: () => import("@speed-highlight/core/languages/c.js"),
  css: () => import("@speed-highlight/core/languages/css.js"),
  diff: () => import("@speed-highlight/core/languages/diff.js"),
  docker: () => import("@speed-highlight/core/languages/docker.js"),
  go: () => import("@speed-highlight/core/languages/go.js"),
  html: () => import("@speed-highlight/core/languages/html.js"),
  ini: () => import("@speed-highlight/core/languages/ini.js"),
  java: () => import("@speed-highlight/core/languages/java.js"),
  js: () => import("@speed-highlight/core/languages/js.js"),
  js_template_literals: () => import("@speed-highlight/core/languages/js_template_literals.js"),
  jsdoc: () => import("@speed-highlight/core/languages/jsdoc.js"),
  json: () => import("@speed-highlight/core/languages/json.js"),
  lua: () => import("@speed-highlight/core/languages/lua.js"),
  make: () => import("@speed-highlight/core/languages/make.js"),
  py: () => import("@speed-highlight/core/languages/py.js"),
  regex: () => import("@speed-highlight/core/languages/regex.js"),
  rs: () => import("@speed-highlight/core/languages/rs.js"),
  sql: () => import("@speed-highlight/core/languages/sql.js"),
  todo: () => Promise.resolve(todo),
  toml: () => import("@speed-highlight/core/languages/toml.js"),
  ts: () => import("@speed-highlight/core/languages/ts.js"),
  xml: () => import("@speed-highlight/core/languages/xml.js"),
  yaml: () => import("@speed-highlight/core/languages/yaml.js"),
};

type Tell = (text: string, type: string | undefined) => void;

/** Tells each piece of the text in order, and what it is. Rejects where rules cannot be loaded. */
export async function tokenize(text: string, language: string, tell: Tell): Promise<void> {
  const load = languages[language as keyof typeof languages];
  if (!load) return tell(text, undefined);
  const { default: rules, type } = (await load()) as Language;
  return split(text, rules, type, tell);
}

async function split(text: string, rules: Written[], type: string | undefined, tell: Tell): Promise<void> {
  let left = rules.map((rule) => find("expand" in rule ? common[rule.expand] : rule, text, 0));
  for (let at = 0; at < text.length;) {
    left = left.map((one) => (one && one.index < at ? find(one.rule, text, at) : one)).filter((one) => one !== null);
    // Of two at one place the first in the list.
    const next = left.reduce<Found | null>(
      (best, one) => (one?.match && (!best || one.index < best.index) ? one : best),
      null,
    );
    if (!next) return tell(text.slice(at), type);
    if (next.index > at) tell(text.slice(at, next.index), type);
    const { sub, type: kind } = next.rule;
    if (typeof sub === "string") await tokenize(next.match, sub, tell);
    else if (sub) await split(next.match, sub, kind, tell);
    else tell(next.match, kind);
    at = next.end;
  }
}

/** Where a rule matches next; an empty match only says that there is nothing before it. */
interface Found {
  rule: Rule;
  index: number;
  match: string;
  end: number;
}

function find(rule: Rule, text: string, from: number): Found | null {
  rule.match.lastIndex = from;
  const found = rule.match.exec(text);
  return found && { rule, index: found.index, match: found[0], end: rule.match.lastIndex };
}
