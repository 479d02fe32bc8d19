/**
 * Markdown as elements: marked's lexer makes tokens, and only these elements are made of them. No HTML is ever parsed, no
 * image is loaded, and a link goes to http, https or mail or is no link.
 */
import { Lexer, type Token, type Tokens } from "marked";
import type { ComponentChildren } from "preact";
import { showable } from "../plain-text.ts";
import { CodeBlock } from "./code-block.tsx";
import { LongText } from "./long-text.tsx";

/** Longer texts are shown as they are: parsing them would hold up the page. */
const mostChars = 30_000;

export function Markdown({ text }: { text: string }) {
  if (text.length > mostChars) return <LongText text={text} />;
  return <div class="markdown">{blocks(new Lexer({ gfm: true, breaks: true }).lex(showable(text)))}</div>;
}

const blocks = (tokens: Token[]): ComponentChildren => tokens.map((token) => block(token));

function block(token: Token): ComponentChildren {
  switch (token.type) {
    case "heading": {
      const Level = `h${Math.min(6, token["depth"] + 2)}` as "h3";
      return <Level>{inlines(token.tokens)}</Level>;
    }
    case "paragraph":
      return <p>{inlines(token.tokens)}</p>;
    case "text":
      return token.tokens ? inlines(token.tokens) : decode(token["text"]);
    case "code":
      return <CodeBlock text={token["text"]} language={token["lang"]} />;
    case "blockquote":
      return <blockquote>{blocks(token.tokens ?? [])}</blockquote>;
    case "list":
      return list(token as Tokens.List);
    case "table":
      return table(token as Tokens.Table);
    case "hr":
      return <hr />;
    case "html":
      return <p>{token.raw}</p>;
    case "space":
    case "def":
      return null;
    default:
      return inline(token);
  }
}

function list({ ordered, start, items }: Tokens.List) {
  const rows = items.map((item) => (
    <li class={item.task ? "task" : undefined}>
      {item.task && <span aria-label={item.checked ? "done" : "to do"}>{item.checked ? "☑ " : "☐ "}</span>}
      {blocks(item.tokens.filter((token) => token.type !== "checkbox"))}
    </li>
  ));
  return ordered ? <ol start={Number(start) || 1}>{rows}</ol> : <ul>{rows}</ul>;
}

function table({ header, rows }: Tokens.Table) {
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label="Table">
      <table>
        <thead>
          <tr>
            {header.map((cell) => (
              <th>{inlines(cell.tokens)}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr>
              {row.map((cell) => (
                <td>{inlines(cell.tokens)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const inlines = (tokens: Token[] = []): ComponentChildren => tokens.map((token) => inline(token));

function inline(token: Token): ComponentChildren {
  switch (token.type) {
    case "strong":
      return <strong>{inlines(token.tokens)}</strong>;
    case "em":
      return <em>{inlines(token.tokens)}</em>;
    case "del":
      return <del>{inlines(token.tokens)}</del>;
    case "codespan":
      return <code>{token["text"]}</code>;
    case "br":
      return <br />;
    case "link":
      return <SafeLink href={token["href"]}>{inlines(token.tokens)}</SafeLink>;
    case "image":
      return <SafeLink href={token["href"]}>[image{token["text"] ? `: ${token["text"]}` : ""}]</SafeLink>;
    case "escape":
      return token["text"];
    case "text":
      return token.tokens ? inlines(token.tokens) : decode(token["text"]);
    default:
      return token.raw;
  }
}

const safeProtocols = new Set(["http:", "https:", "mailto:"]);

function SafeLink({ href, children }: { href: string; children: ComponentChildren }) {
  const url = URL.parse(href);
  if (!url || !safeProtocols.has(url.protocol))
    return (
      <span class="dead-link" title="Not a web address">
        {children}
      </span>
    );
  return (
    <a href={url.href} title={url.href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

const entities: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

/** Character references in running text, as Markdown knows them. */
function decode(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,6}));/gi, (whole, decimal, hex, name) => {
    if (name) return entities[name] ?? whole;
    const code = decimal ? Number(decimal) : Number.parseInt(hex, 16);
    return code > 31 && code < 0x11_0000 ? showable(String.fromCodePoint(code)) : whole;
  });
}
