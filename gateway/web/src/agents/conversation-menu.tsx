/** What the conversation in view is about to do its next message with: model, permissions, context; and what makes room in that. */
import { useEffect, useState } from "preact/hooks";
import type { Agent, ContextUse } from "@berth/shared/resources";
import { get } from "../api/api.ts";
import { t } from "../i18n/language.ts";
import { runtimes } from "../runtimes/runtimes.ts";
import { queueMessage, resetAgent, runOfAgent, updateAgent } from "../state/agents.ts";
import { logs, runsByAgent } from "../state/live.ts";
import { loadModels, models } from "../state/models.ts";
import { formatCount, formatPart } from "../text/format.ts";
import { Options } from "../ui/form.tsx";
import { Confirm, Menu } from "../ui/dialog.tsx";
import { Failure } from "../ui/failure.tsx";
import { Meter } from "../ui/meter.tsx";
import { useOnce, useTask } from "../ui/use-task.ts";

export function ConversationMenu({ agent }: { agent: Agent }) {
  const words = t().conversation;
  const [isOpen, setOpen] = useState(false);
  const going = runOfAgent(agent.id);
  const asked = useAsked(isOpen && going?.startedAt ? going.id : null);
  const context = contextOf(agent, asked);
  const model = agent.model ?? words.modelDefault(runtimes[agent.runtime].words().name);
  const facts = (
    <span class="facts">
      {model} · {t().agents.permissionNames[agent.permissions]}
      {context?.part !== undefined && ` · ${words.contextPart(context.part)}`}
    </span>
  );
  const toggle = (open: boolean) => {
    setOpen(open);
    if (open) loadModels();
  };
  return (
    <Menu class="conversation-menu" label={words.menu} summary={facts} onToggle={toggle}>
      {isOpen && (
        <div class="panel">
          <Choices agent={agent} />
          <Context context={context} isAsking={going !== undefined} />
          <Acts agent={agent} isGoing={going !== undefined} />
        </div>
      )}
    </Menu>
  );
}

interface Asked {
  runId: string;
  use: ContextUse;
}

/** How long a CLI that did not answer is left alone. */
const askAgainMs = 3000;

/** What the run's CLI says of its context, asked once, and again while it does not answer. */
function useAsked(runId: string | null): Asked | null {
  const [asked, setAsked] = useState<Asked | null>(null);
  useEffect(() => {
    if (runId === null) return;
    let timer: number | undefined;
    let isOver = false;
    const ask = () =>
      get<ContextUse>(`/v1/runs/${runId}/context`).then(
        (use) => setAsked({ runId, use }),
        () => (timer = isOver ? undefined : window.setTimeout(() => void ask(), askAgainMs)),
      );
    void ask();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [runId]);
  return asked;
}

interface Known {
  usedTokens: number;
  limitTokens: number | null;
  /** Undefined where the limit is not known. */
  part: string | undefined;
  parts: ContextUse["parts"];
}

/** What the CLI said when it was asked, while that run goes on; else what the newest run's output shows. */
function contextOf({ id }: Agent, asked: Asked | null): Known | null {
  const own = runsByAgent.value.get(id) ?? [];
  const seen = own.flatMap((run) => {
    const log = logs.get(run.id);
    return log && log.version.value >= 0 ? [log.fold.context] : [];
  });
  // What waits behind it, or was dropped while it waited, has no context.
  const isAsked = asked !== null && asked.runId === own.find(({ startedAt }) => startedAt !== null)?.id;
  const usedTokens = isAsked ? asked.use.usedTokens : seen[0]?.usedTokens;
  const limitTokens = isAsked ? asked.use.limitTokens : (seen.find((one) => one.limitTokens)?.limitTokens ?? null);
  if (!usedTokens) return null;
  const part = limitTokens ? formatPart(usedTokens / limitTokens) : undefined;
  return { usedTokens, limitTokens, part, parts: isAsked ? asked.use.parts : [] };
}

function Choices({ agent }: { agent: Agent }) {
  const words = t().agents;
  const save = useTask((change: Parameters<typeof updateAgent>[1]) => updateAgent(agent.id, change));
  const known = models.value.map(({ id }) => id);
  const names = new Map(models.value.map(({ id, name }) => [id, name]));
  const all = agent.model && !known.includes(agent.model) ? [agent.model, ...known] : known;
  return (
    <>
      <label>
        {words.model}
        <select
          value={agent.model ?? ""}
          disabled={save.isBusy}
          onChange={(event) => void save.run({ model: event.currentTarget.value || null })}
        >
          <option value="">{t().conversation.modelDefault(runtimes[agent.runtime].words().name)}</option>
          <Options of={all.map((id) => [id, names.get(id) ?? id])} />
        </select>
      </label>
      <label>
        {words.permissions}
        <select
          value={agent.permissions}
          disabled={save.isBusy}
          onChange={(event) => void save.run({ permissions: event.currentTarget.value as Agent["permissions"] })}
        >
          <Options of={Object.entries(words.permissionChoices)} />
        </select>
      </label>
      <p class="muted hint">{t().conversation.fromNext}</p>
      <Failure error={save.failure} />
    </>
  );
}

function Context({ context, isAsking }: { context: Known | null; isAsking: boolean }) {
  const words = t().conversation;
  if (!context) return <p class="muted">{isAsking ? words.contextAsking : words.contextUnknown}</p>;
  const { usedTokens, limitTokens, parts } = context;
  const use = limitTokens
    ? t().common.of(formatCount(usedTokens), words.tokens(formatCount(limitTokens)))
    : words.tokens(formatCount(usedTokens));
  return (
    <div class="context">
      <p>
        {words.context}{" "}
        {limitTokens && <Meter label={words.context} words={use} used={usedTokens} limit={limitTokens} />} {use}
      </p>
      {parts.length > 0 && (
        <ul class="muted">
          {parts.map(({ name, tokens }) => (
            <li key={name}>
              <span lang="en">{name}</span> {formatCount(tokens)}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Acts({ agent, isGoing }: { agent: Agent; isGoing: boolean }) {
  const words = t().conversation;
  const [isAsking, setAsking] = useState(false);
  const compact = useOnce((key) => queueMessage(agent.id, { prompt: "/compact" }, key));
  return (
    <>
      <p class="actions">
        <button type="button" disabled={compact.isBusy} title={words.compactWhat} onClick={() => void compact.run()}>
          {words.compact}
        </button>
        <button type="button" disabled={isGoing} onClick={() => setAsking(true)}>
          {t().agents.newConversationAsk}
        </button>
      </p>
      <Failure error={compact.failure} />
      {isAsking && <ResetQuestion agent={agent} onClose={() => setAsking(false)} onDone={() => {}} />}
    </>
  );
}

export function ResetQuestion({ agent, onClose, onDone }: { agent: Agent; onClose: () => void; onDone: () => void }) {
  const words = t().agents;
  return (
    <Confirm
      title={words.newConversationTitle(agent.name)}
      action={words.newConversationAct}
      onClose={onClose}
      act={() => resetAgent(agent.id).then(onDone)}
    >
      <p>{words.newConversationLoss}</p>
    </Confirm>
  );
}
