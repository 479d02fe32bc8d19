/** Name, directory, model, instructions and environment of an agent; a new conversation; and its end. */
import { useState } from "preact/hooks";
import type { Agent, OnInterruption, Permissions, Run } from "@berth/shared/resources";
import { runtimeFacts } from "@berth/shared/kinds/runtimes";
import { t } from "../i18n/language.ts";
import type { Runtime } from "../runtimes/runtime.ts";
import { runtimes } from "../runtimes/runtimes.ts";
import { deleteAgent, updateAgent } from "../state/agents.ts";
import { getAll } from "../api/api.ts";
import { conversationFile } from "../text/conversation-file.ts";
import { go } from "../ui/router.tsx";
import { Confirm } from "../ui/confirm.tsx";
import { ModelOptions } from "./new-agent.tsx";
import { ResetQuestion } from "./conversation-menu.tsx";
import { EnvEditor } from "./env-editor.tsx";
import { useKeptFields } from "../kept/use-kept.ts";
import { useTask } from "../ui/use-task.ts";
import { Failure } from "../ui/failure.tsx";

export function AgentSettings({ agent }: { agent: Agent }) {
  return (
    <div
      class="page narrow scroller settings"
      tabIndex={0}
      role="region"
      aria-label={t().settings.settingsOf(agent.name)}
    >
      <About agent={agent} />
      <EnvEditor agent={agent} />
      <Download agent={agent} />
      {runtimes[agent.runtime].hasModel && <Reset agent={agent} />}
      <Deletion agent={agent} />
    </div>
  );
}

interface Draft {
  name: string;
  directory: string;
  model: string;
  instructions: string;
  permissions: Permissions;
  onInterruption: OnInterruption;
}

const draftOf = ({ name, directory, model, instructions, permissions, onInterruption }: Agent): Draft => ({
  name,
  directory: directory ?? "",
  model: model ?? "",
  instructions: instructions ?? "",
  permissions,
  onInterruption,
});

/** What the draft changes, and nothing else: the audit says it. */
function changesOf(agent: Agent, { name, directory, model, instructions, permissions, onInterruption }: Draft) {
  const wanted = {
    name: name.trim(),
    directory: directory.trim() || null,
    model: model.trim() || null,
    instructions: instructions.trim() ? instructions : null,
    permissions,
    onInterruption,
  };
  return Object.fromEntries(
    Object.entries(wanted).filter(([field, value]) => agent[field as keyof typeof wanted] !== value),
  ) as Partial<typeof wanted>;
}

function About({ agent }: { agent: Agent }) {
  const [draft, keep, forget, isWritten] = useKeptFields<Draft>(`berth.settings.${agent.id}`, draftOf(agent));
  const runtime = runtimes[agent.runtime];
  const words = t().settings;
  const [isSaved, setSaved] = useState(false);
  const task = useTask(async () => {
    await updateAgent(agent.id, changesOf(agent, draft));
    forget();
    setSaved(true);
  });
  const edit = (event: { currentTarget: HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement }) => {
    const { name, value } = event.currentTarget;
    setSaved(false);
    keep({ [name]: value });
  };
  return (
    <form onSubmit={(event) => (event.preventDefault(), void task.run())}>
      <label>
        {words.name}
        <input name="name" value={draft.name} maxLength={64} required autocomplete="off" onInput={edit} />
      </label>
      <label>
        {words.directory}
        <input
          name="directory"
          value={draft.directory}
          maxLength={1024}
          placeholder={words.directoryPlaceholder}
          onInput={edit}
          spellcheck={false}
          autocomplete="off"
        />
      </label>
      <p class="muted">
        {t().agents.kind}: {runtime.words().choice}
      </p>
      {agent.repository && <p class="muted">{words.cloned(agent.repository)}</p>}
      {runtime.hasModel && <ModelAndInstructions runtime={runtime} draft={draft} edit={edit} />}
      <Failure error={task.failure} />
      <p class="actions">
        <button type="submit" class="primary" disabled={task.isBusy}>
          {task.isBusy ? t().common.saving : t().common.save}
        </button>
        <span role="status" class="muted">
          {isWritten ? t().common.notSaved : isSaved && words.savedForNext}
        </span>
      </p>
    </form>
  );
}

interface ModelAndInstructionsProps {
  runtime: Runtime;
  draft: Draft;
  edit: (event: { currentTarget: HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement }) => void;
}

function ModelAndInstructions({ runtime, draft, edit }: ModelAndInstructionsProps) {
  const words = t().settings;
  return (
    <>
      <label>
        {t().agents.model}
        <input
          name="model"
          list="models"
          value={draft.model}
          maxLength={100}
          placeholder={t().conversation.modelDefault(runtime.words().name)}
          onInput={edit}
          spellcheck={false}
          autocomplete="off"
        />
        <ModelOptions id="models" />
      </label>
      <label>
        {t().agents.instructions}
        <textarea
          name="instructions"
          rows={6}
          value={draft.instructions}
          maxLength={65_536}
          placeholder={t().agents.instructionsPlaceholder}
          onInput={edit}
        />
      </label>
      <Choice
        name="permissions"
        label={t().agents.permissions}
        value={draft.permissions}
        choices={t().agents.permissionChoices}
        edit={edit}
      >
        {words.permissionsHint}
      </Choice>
      <Choice
        name="onInterruption"
        label={words.onInterruption}
        value={draft.onInterruption}
        choices={words.onInterruptionChoices}
        edit={edit}
      >
        {words.onInterruptionHint}
      </Choice>
    </>
  );
}

interface ChoiceProps {
  name: keyof Draft;
  label: string;
  value: string;
  choices: Record<string, string>;
  edit: ModelAndInstructionsProps["edit"];
  /** What it means. */
  children: string;
}

function Choice({ name, label, value, choices, edit, children }: ChoiceProps) {
  return (
    <label>
      {label}
      <select name={name} value={value} onChange={edit}>
        {Object.entries(choices).map(([choice, words]) => (
          <option key={choice} value={choice}>
            {words}
          </option>
        ))}
      </select>
      <span class="muted hint">{children}</span>
    </label>
  );
}

function Download({ agent }: { agent: Agent }) {
  const words = t().settings;
  const task = useTask(async () => {
    const runs = await getAll<Run>(`/v1/runs?agentId=${agent.id}`, 10_000);
    const text = conversationFile(agent.name, runs.toReversed(), runtimeFacts[agent.runtime].isScript);
    const file = new Blob([text], { type: "text/markdown" });
    const link = Object.assign(document.createElement("a"), {
      href: URL.createObjectURL(file),
      download: `${agent.name}.md`,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
  return (
    <section>
      <h2>{words.download}</h2>
      <p class="muted">{words.downloadWhat}</p>
      <button type="button" disabled={task.isBusy} onClick={() => void task.run()}>
        {words.downloadAct}
      </button>
      <Failure error={task.failure} />
    </section>
  );
}

function Reset({ agent }: { agent: Agent }) {
  const words = t().settings;
  const [isAsking, setAsking] = useState(false);
  const [isDone, setDone] = useState(false);
  return (
    <section>
      <h2>{words.newConversation}</h2>
      <p class="muted">{words.newConversationWhat}</p>
      <p class="actions">
        <button type="button" onClick={() => setAsking(true)}>
          {t().agents.newConversationAsk}
        </button>
        <span role="status" class="muted">
          {isDone && words.newConversationDone}
        </span>
      </p>
      {isAsking && <ResetQuestion agent={agent} onClose={() => setAsking(false)} onDone={() => setDone(true)} />}
    </section>
  );
}

function Deletion({ agent }: { agent: Agent }) {
  const words = t().settings;
  const [isAsking, setAsking] = useState(false);
  const act = async () => {
    await deleteAgent(agent.id);
    go("/", { replace: true });
  };
  return (
    <section>
      <h2>{t().common.delete}</h2>
      <p class="muted">{words.deleteWhat}</p>
      <button type="button" class="danger" onClick={() => setAsking(true)}>
        {words.deleteAsk}
      </button>
      {isAsking && (
        <Confirm
          title={words.deleteTitle(agent.name)}
          action={words.deleteAct}
          typed={agent.name}
          onClose={() => setAsking(false)}
          act={act}
        >
          <p>{words.deleteLoss}</p>
        </Confirm>
      )}
    </section>
  );
}
