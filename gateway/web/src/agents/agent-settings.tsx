/** Name, directory, model, instructions and environment of an agent; a new conversation; and its end. */
import "../style/lists.css";
import { useState } from "preact/hooks";
import type { Agent, OnInterruption, Permissions, Run } from "@berth/shared/resources";
import { runtimeFacts } from "@berth/shared/kinds/runtimes";
import { t } from "../i18n/language.ts";
import { runtimes } from "../runtimes/runtimes.ts";
import { deleteAgent, updateAgent } from "../state/agents.ts";
import { getAll } from "../api/api.ts";
import { conversationFile } from "../text/conversation-file.ts";
import { Form, Options } from "../ui/form.tsx";
import { go } from "../ui/router.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { ModelFields } from "./new-agent.tsx";
import { ResetQuestion } from "./conversation-menu.tsx";
import { EnvEditor } from "./env-editor.tsx";
import { fieldOf, useKeptFields, type FieldOf } from "../kept/use-kept.ts";
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
  const field = fieldOf(draft, (written) => {
    setSaved(false);
    keep(written);
  });
  return (
    <Form
      task={task}
      action={t().common.save}
      busy={t().common.saving}
      said={isWritten ? t().common.notSaved : isSaved && words.savedForNext}
    >
      <label>
        {t().common.name}
        <input {...field("name")} maxLength={64} required autocomplete="off" />
      </label>
      <label>
        {words.directory}
        <input
          {...field("directory")}
          maxLength={1024}
          placeholder={words.directoryPlaceholder}
          spellcheck={false}
          autocomplete="off"
        />
      </label>
      <p class="muted">
        {t().agents.kind}: {runtime.words().choice}
      </p>
      {agent.repository && <p class="muted">{words.cloned(agent.repository)}</p>}
      {runtime.hasModel && (
        <>
          <ModelFields id="models" runtime={runtime} field={field} rows={6} />
          <Behaviour field={field} />
        </>
      )}
    </Form>
  );
}

function Behaviour({ field }: { field: FieldOf<Draft> }) {
  const words = t().settings;
  return (
    <>
      <label>
        {t().agents.permissions}
        <select {...field("permissions")}>
          <Options of={Object.entries(t().agents.permissionChoices)} />
        </select>
        <span class="muted hint">{words.permissionsHint}</span>
      </label>
      <label>
        {words.onInterruption}
        <select {...field("onInterruption")}>
          <Options of={Object.entries(words.onInterruptionChoices)} />
        </select>
        <span class="muted hint">{words.onInterruptionHint}</span>
      </label>
    </>
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
