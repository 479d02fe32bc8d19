/** What an agent said or did last, in one line; and how it is. */
import type { Agent } from "@berth/shared/resources";
import { t } from "../i18n/language.ts";
import { runOfAgent } from "../state/agents.ts";
import { logs, runsByAgent } from "../state/live.ts";
import { inOneLine, lastLine } from "../text/plain-text.ts";
import { summarise } from "../transcript/tools.ts";
import { tell, tellRun, type StateWords } from "../text/words.ts";

export function tellAgent(agent: Agent): StateWords {
  const going = runOfAgent(agent.id);
  if (going) return tellRun(going);
  const last = runsByAgent.value.get(agent.id)?.[0];
  if (last && last.endedAt === null) return tellRun(last);
  if (last && tellRun(last).tone === "bad") return tellRun(last);
  return tell("idle", [last ? t().states.idle : t().states.fresh, ""]);
}

export function AgentLine({ agent }: { agent: Agent }) {
  const run = runOfAgent(agent.id) ?? runsByAgent.value.get(agent.id)?.[0];
  if (!run) return t().conversation.noMessages;
  const log = logs.get(run.id);
  void log?.version.value;
  const item =
    run.endedAt === null
      ? log?.fold.items.findLast(({ kind }) => kind === "text" || kind === "tool" || kind === "output")
      : undefined;
  if (item?.kind === "tool") return `${item.name} ${summarise(item)}`.trim();
  if (item?.kind === "text" || item?.kind === "output") return lastLine(item.text) || "…";
  return inOneLine(run.endedAt && run.result ? run.result : run.prompt);
}
