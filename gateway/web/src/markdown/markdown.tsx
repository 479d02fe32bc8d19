/**
 * Markdown as elements: only those below are ever made. No HTML is parsed, no image is loaded, and a link goes to http, https
 * or mail or is none.
 */
import type { ComponentChildren } from "preact";
import { t } from "../i18n/language.ts";
import { languageOf, showable } from "../text/plain-text.ts";
import { LongText } from "../ui/long-text.tsx";
import { CodeBlock } from "./code-block.tsx";
import { parseBlocks, type Block, type ListItem } from "./blocks.ts";
import { parseInline, type Inline } from "./inline.ts";

/** Longer texts are shown as they are. */
const mostChars = 30_000;

export function Markdown({ text }: { text: string }) {
  if (text.length > mostChars) return <LongText text={text} />;
  return (
    <div class="markdown" lang={languageOf(text)}>
      {drawBlocks(parseBlocks(showable(text)))}
    </div>
  );
}

/** A heading goes at most one level below the one before it, so that the page's outline has no gaps. */
function drawBlocks(blocks: Block[]): ComponentChildren {
  let level = 1;
  return blocks.map((block) => {
    if (block.type === "heading") level = Math.min(block.level + 1, level + 1, 6);
    return drawBlock(block, level);
  });
}

const drawText = (text: string): ComponentChildren => parseInline(text).map((part) => drawInline(part));

function drawBlock(block: Block, level = 2): ComponentChildren {
  switch (block.type) {
    case "heading": {
      const Level = `h${level}` as "h2";
      return <Level>{drawText(block.text)}</Level>;
    }
    case "paragraph":
      return <p>{drawText(block.text)}</p>;
    case "code":
      return <CodeBlock text={block.text} language={block.language} />;
    case "quote":
      return <blockquote>{drawBlocks(block.blocks)}</blockquote>;
    case "list": {
      const items = block.items.map((item) => drawItem(item));
      return block.start === null ? <ul>{items}</ul> : <ol start={block.start}>{items}</ol>;
    }
    case "table":
      return <Table {...block} />;
    case "rule":
      return <hr />;
  }
}

function drawItem({ isDone, blocks }: ListItem) {
  return (
    <li class={isDone === null ? undefined : "task"}>
      {isDone !== null && <span>{isDone ? "☑ " : "☐ "}</span>}
      {blocks.map((block, at) => (at === 0 && block.type === "paragraph" ? drawText(block.text) : drawBlock(block)))}
    </li>
  );
}

function Table({ header, rows, aligns }: Pick<Extract<Block, { type: "table" }>, "header" | "rows" | "aligns">) {
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label={t().common.table}>
      <table>
        <thead>
          <tr>
            {header.map((cell, at) => (
              <th class={aligns[at] ?? undefined}>{drawText(cell)}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr>
              {row.map((cell, at) => (
                <td class={aligns[at] ?? undefined}>{drawText(cell)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function drawInline(part: Inline): ComponentChildren {
  if (typeof part === "string") return part;
  if (part.type === "break") return <br />;
  if (part.type === "code") return <code>{part.text}</code>;
  const children = part.children.map((child) => drawInline(child));
  switch (part.type) {
    case "strong":
      return <strong>{children}</strong>;
    case "em":
      return <em>{children}</em>;
    case "del":
      return <del>{children}</del>;
    case "link":
      return <SafeLink href={part.href}>{children}</SafeLink>;
    case "image":
      return (
        <SafeLink href={part.href}>
          [{t().common.image}: {children}]
        </SafeLink>
      );
  }
}

const safeProtocols = new Set(["http:", "https:", "mailto:"]);

function SafeLink({ href, children }: { href: string; children: ComponentChildren }) {
  const url = URL.canParse(href) ? new URL(href) : null;
  if (!url || !safeProtocols.has(url.protocol))
    return (
      <span class="dead-link" title={t().common.notAnAddress}>
        {children}
      </span>
    );
  return (
    <a href={url.href} title={url.href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}
