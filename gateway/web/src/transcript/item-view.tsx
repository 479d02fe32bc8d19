/** One item of a transcript. */
import { t } from "../i18n/language.ts";
import type { Item } from "./items.ts";
import { LongText, Printed } from "../ui/long-text.tsx";
import { Markdown } from "../markdown/markdown.tsx";
import { ToolCall } from "./tool-call.tsx";
import { showable } from "../text/plain-text.ts";

export function ItemView({ item, isLive }: { item: Item; isLive: boolean }) {
  const nested = item.isNested ? "nested" : "";
  switch (item.kind) {
    case "text":
      return (
        <div class={`item text ${nested} ${item.isOpen && isLive ? "open" : ""}`}>
          <Markdown text={item.text} />
        </div>
      );
    case "thinking":
      return item.text.trim() ? (
        <details class={`item thinking ${nested}`}>
          <summary>{t().conversation.thinking}</summary>
          <LongText text={item.text} />
        </details>
      ) : null;
    case "tool":
      return (
        <div class={`item ${nested}`}>
          <ToolCall item={item} isLive={isLive} />
        </div>
      );
    case "output":
      return (
        <pre class="item plain output">
          <Printed text={item.text.replace(/\n$/, "") || " "} />
        </pre>
      );
    case "note":
      return (
        <p class={`item note ${item.tone} ${nested}`}>
          {typeof item.text === "string" ? showable(item.text.slice(0, 4000)) : t().conversation[item.text.notice]}
        </p>
      );
    case "said":
      return (
        <div class="item said prompt">
          <LongText text={item.text} />
        </div>
      );
    case "raw":
      return (
        <details class="item raw">
          <summary>{t().conversation.event(showable(item.name.slice(0, 60)))}</summary>
          <LongText text={item.text} />
        </details>
      );
    case "gone":
      return null;
  }
}
