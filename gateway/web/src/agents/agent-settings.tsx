/** Name, directory, model, instructions and environment of an agent; a new conversation; and its end. */
import { useEffect, useState } from "preact/hooks";
import type { Agent, ModelChoice, Permissions } from "@berth/shared/resources";
import type { Runtime } from "../runtimes/runtime.ts";
import { runtimes } from "../runtimes/runtimes.ts";
import { deleteAgent, resetAgent, updateAgent } from "../state/agents.ts";
import { get, type Page } from "../api/api.ts";
import { go } from "../ui/router.tsx";
import { Confirm } from "../ui/confirm.tsx";
import { EnvEditor } from "./env-editor.tsx";
import { useKept } from "../state/use-kept.ts";
import { useTask } from "../ui/use-task.ts";
import { Failure } from "../ui/failure.tsx";

export function AgentSettings({ agent }: { agent: Agent }) {
  return (
    <div class="page narrow scroller settings" tabIndex={0} role="region" aria-label={`Settings of ${agent.name}`}>
      <About agent={agent} />
      <EnvEditor agent={agent} />
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
}

const draftOf = ({ name, directory, model, instructions, permissions }: Agent): Draft => ({
  name,
  directory: directory ?? "",
  model: model ?? "",
  instructions: instructions ?? "",
  permissions,
});

/** What the draft changes, and nothing else: the audit says it. */
function changesOf(agent: Agent, { name, directory, model, instructions, permissions }: Draft) {
  const wanted = {
    name: name.trim(),
    directory: directory.trim() || null,
    model: model.trim() || null,
    instructions: instructions.trim() ? instructions : null,
    permissions,
  };
  return Object.fromEntries(
    Object.entries(wanted).filter(([field, value]) => agent[field as keyof typeof wanted] !== value),
  ) as Partial<typeof wanted>;
}

function About({ agent }: { agent: Agent }) {
  const [kept, keep, forget] = useKept(`berth.settings.${agent.id}`);
  const draft: Draft = { ...draftOf(agent), ...(kept !== null && (JSON.parse(kept) as Draft)) };
  const runtime = runtimes[agent.runtime];
  const [isSaved, setSaved] = useState(false);
  const task = useTask(async () => {
    await updateAgent(agent.id, changesOf(agent, draft));
    forget();
    setSaved(true);
  });
  const edit = (event: { currentTarget: HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement }) => {
    const { name, value } = event.currentTarget;
    setSaved(false);
    keep(JSON.stringify({ ...draft, [name]: value }));
  };
  return (
    <form onSubmit={(event) => (event.preventDefault(), void task.run())}>
      <label>
        Name
        <input name="name" value={draft.name} maxLength={64} required autocomplete="off" onInput={edit} />
      </label>
      <label>
        Directory
        <input
          name="directory"
          value={draft.directory}
          maxLength={1024}
          placeholder="its own, or one below it"
          onInput={edit}
          spellcheck={false}
          autocomplete="off"
        />
      </label>
      {agent.repository && <p class="muted">{agent.repository} is cloned by the first message.</p>}
      {runtime.hasModel && <ModelAndInstructions runtime={runtime} draft={draft} edit={edit} />}
      <Failure words={task.failure} />
      <p class="actions">
        <button type="submit" class="primary" disabled={task.isBusy}>
          {task.isBusy ? "Saving …" : "Save"}
        </button>
        <span role="status" class="muted">
          {kept !== null ? "Not saved yet" : isSaved && "Saved. The next message sees it."}
        </span>
      </p>
    </form>
  );
}

interface ModelAndInstructionsProps {
  runtime: Runtime;
  draft: { model: string; instructions: string; permissions: Permissions };
  edit: (event: { currentTarget: HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement }) => void;
}

function ModelAndInstructions({ runtime, draft, edit }: ModelAndInstructionsProps) {
  const models = useModels();
  return (
    <>
      <label>
        Model
        <input
          name="model"
          list="models"
          value={draft.model}
          maxLength={100}
          placeholder={`the default of ${runtime.name}`}
          onInput={edit}
          spellcheck={false}
          autocomplete="off"
        />
        <datalist id="models">
          {models.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </datalist>
      </label>
      <label>
        Instructions
        <textarea
          name="instructions"
          rows={6}
          value={draft.instructions}
          maxLength={65_536}
          placeholder="What it should always know: conventions, commands, what not to touch"
          onInput={edit}
        />
      </label>
      <label>
        Permissions
        <select name="permissions" value={draft.permissions} onChange={edit}>
          <option value="skip">It does what it finds right</option>
          <option value="ask">It asks before it changes or runs something</option>
          <option value="plan">It makes a plan first, and asks</option>
        </select>
        <span class="muted hint">A seat belt, not a wall: what keeps an agent in is its container.</span>
      </label>
    </>
  );
}

/** What the model API offers; whoever knows another model types it. */
function useModels(): ModelChoice[] {
  const [models, setModels] = useState<ModelChoice[]>([]);
  useEffect(() => {
    void get<Page<ModelChoice>>("/v1/models").then(
      ({ items }) => setModels(items),
      () => undefined,
    );
  }, []);
  return models;
}

function Reset({ agent }: { agent: Agent }) {
  const [isAsking, setAsking] = useState(false);
  const [isDone, setDone] = useState(false);
  const act = async () => {
    await resetAgent(agent.id);
    setDone(true);
  };
  return (
    <section>
      <h2>New conversation</h2>
      <p class="muted">
        The next message begins anew: what was said before is no longer told to the model. Files stay.
      </p>
      <p class="actions">
        <button type="button" onClick={() => setAsking(true)}>
          Begin a new conversation …
        </button>
        <span role="status" class="muted">
          {isDone && "Done. The next message is the first of it."}
        </span>
      </p>
      {isAsking && (
        <Confirm
          title={`Begin a new conversation with ${agent.name}?`}
          action="Begin anew"
          onClose={() => setAsking(false)}
          act={act}
        >
          <p>It will know nothing of what was said so far but what is in its files and instructions.</p>
        </Confirm>
      )}
    </section>
  );
}

function Deletion({ agent }: { agent: Agent }) {
  const [isAsking, setAsking] = useState(false);
  const act = async () => {
    await deleteAgent(agent.id);
    go("/", { replace: true });
  };
  return (
    <section>
      <h2>Delete</h2>
      <p class="muted">Its run is stopped and its directory removed, with everything in it. There is no way back.</p>
      <button type="button" class="danger" onClick={() => setAsking(true)}>
        Delete this agent …
      </button>
      {isAsking && (
        <Confirm
          title={`Delete ${agent.name}?`}
          action="Delete for ever"
          typed={agent.name}
          onClose={() => setAsking(false)}
          act={act}
        >
          <p>
            Its conversation, its directory and everything in it are removed. What is not pushed anywhere else is lost.
          </p>
        </Confirm>
      )}
    </section>
  );
}
