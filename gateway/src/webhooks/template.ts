/**
 * Prompts from templates: Mustache without HTML escaping, over JSON alone. The parser is the mustache package's; what
 * renders stands here, because a template must neither reach what JSON does not own (prototypes, functions) nor run for
 * long. Objects and lists that are named as a value are written as JSON.
 */
import { AppError } from "@berth/shared/errors";
import { promptMaxBytes } from "@berth/shared/resources";
import Mustache from "mustache";
import type { TemplateSpans } from "mustache";

/** Steps that one rendering may take, some tens of milliseconds: tags, texts, items, and each value that is asked for a name. */
const maxSteps = 400_000;

/** Checks a template that somebody wants to keep. Throws `invalid_request` with the parser's reason. */
export function checkTemplate(text: string): void {
  const reason = flawOf(text);
  if (reason === null) return;
  const errors = [{ path: "template", message: reason }];
  throw new AppError("invalid_request", `The template does not fit: ${reason}.`, { errors });
}

/** Whether it puts words of whoever sends into the message: any tag but the trigger's own. */
export const hasSendersWords = (text: string) => /\{\{(?![!/]|[&{^#]?\s*trigger\b)/.test(text);

/** What a rendering gave: a prompt, or the reason in a sentence why there is none. */
export type Rendered = { prompt: string } | { problem: string };

/**
 * Renders a prompt of at most 1 MiB of UTF-8 from JSON values. An empty prompt (white space alone) is a result too.
 * What no prompt may contain (NUL, half of a surrogate pair) becomes U+FFFD.
 */
export function renderPrompt(text: string, view: Record<string, unknown>): Rendered {
  const out: Output = { text: "", steps: 0 };
  try {
    renderSpans(parse(text), [view], out);
  } catch (error) {
    if (error instanceof TooMuch) return { problem: error.message };
    // The only thing left to go wrong: values that are nested deeper than the stack.
    if (error instanceof RangeError) return { problem: "The payload is nested too deeply for the template." };
    throw error;
  }
  const prompt = out.text.toWellFormed().replaceAll("\0", "\ufffd");
  return new TextEncoder().encode(prompt).length > promptMaxBytes ? { problem: tooLong } : { prompt };
}

interface Output {
  text: string;
  steps: number;
}
class TooMuch extends Error {}
const tooLong = "The prompt that the template gave is over 1 MiB.";

function flawOf(text: string): string | null {
  try {
    return hasPartial(parse(text)) ? "partials ({{> …}}) are not known here" : null;
  } catch (error) {
    // "Unclosed tag at 12", 'Unopened section "x" at 7': names the place; quoted names are the caller's own words.
    const place = /at \d+$/.exec(error instanceof Error ? error.message : "")?.[0] ?? "";
    return `a tag or section is not closed or not opened ${place}`.trim();
  }
}

/** A writer of its own each time: the package's shared one remembers every template for ever. */
function parse(text: string): TemplateSpans {
  return new Mustache.Writer().parse(text) as TemplateSpans;
}

function hasPartial(spans: TemplateSpans): boolean {
  return spans.some((span) => span[0] === ">" || (Array.isArray(span[4]) && hasPartial(span[4])));
}

function renderSpans(spans: TemplateSpans, context: unknown[], out: Output): void {
  for (const span of spans) {
    takeSteps(out, 1);
    const [kind, name] = span;
    if (kind === "text") append(out, name);
    else if (kind === "name" || kind === "&") append(out, textOf(lookUp(context, name, out)));
    else if (kind === "#") renderSection(lookUp(context, name, out), span[4] as TemplateSpans, context, out);
    else if (kind === "^" && isEmpty(lookUp(context, name, out))) renderSpans(span[4] as TemplateSpans, context, out);
  }
}

function renderSection(value: unknown, spans: TemplateSpans, context: unknown[], out: Output): void {
  if (isEmpty(value)) return;
  const items = Array.isArray(value) ? (value as unknown[]) : [value];
  for (const item of items) {
    takeSteps(out, context.length);
    renderSpans(spans, [...context, item], out);
  }
}

function takeSteps(out: Output, steps: number): void {
  if ((out.steps += steps) > maxSteps) throw new TooMuch("The template repeats too much for this payload.");
}

function append(out: Output, text: string): void {
  out.text += text;
  if (out.text.length > promptMaxBytes) throw new TooMuch(tooLong);
}

/** The innermost value that has the first of the dotted names decides. */
function lookUp(context: unknown[], dotted: string, out: Output): unknown {
  if (dotted === ".") return context.at(-1);
  const [first = "", ...rest] = dotted.split(".");
  takeSteps(out, context.length + rest.length);
  const owner = context.findLast((value) => owns(value, first));
  return rest.reduce(propertyOf, propertyOf(owner, first));
}

const owns = (value: unknown, name: string) =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name);

function propertyOf(value: unknown, name: string): unknown {
  return owns(value, name) ? (value as Record<string, unknown>)[name] : undefined;
}

/** As in JavaScript, and empty lists. */
function isEmpty(value: unknown): boolean {
  return !value || (Array.isArray(value) && value.length === 0);
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
