/** A new agent: a name is enough; what else it may be given is one click away. Where the limit is reached, it says so instead. */
import { useEffect, useState } from "preact/hooks";
import { t } from "../i18n/language.ts";
import { runtimeNames, runtimes } from "../runtimes/runtimes.ts";
import { agents, createAgent } from "../state/agents.ts";
import { loadModels, models } from "../state/models.ts";
import { useKeptFields } from "../kept/use-kept.ts";
import { go } from "../ui/router.tsx";
import type { Me } from "@berth/shared/users";
import { useTask } from "../ui/use-task.ts";
import { Failure } from "../ui/failure.tsx";

const empty = { name: "", runtime: runtimeNames[0]!, repository: "", model: "", instructions: "" };
type Draft = typeof empty;
type Edit = (event: { currentTarget: HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement }) => void;

export function NewAgent({ me, isFirst = false }: { me: Me; isFirst?: boolean }) {
  const words = t().agents;
  const [draft, keep, forget] = useKeptFields<Draft>("berth.new-agent", empty);
  const hasMore = Boolean(draft.repository || draft.model || draft.instructions) || draft.runtime !== empty.runtime;
  const [isOpen, setOpen] = useState(isFirst || hasMore);
  const task = useTask(async () => {
    if (!draft.name.trim()) throw new Error(words.nameFirst);
    const agent = await createAgent(wantedOf(draft));
    forget();
    go(`/agents/${agent.id}`);
  });
  const limit = me.limits.agents;
  if ((agents.value?.length ?? 0) >= limit) return <p class="new-agent full">{words.full(limit)}</p>;
  const edit: Edit = ({ currentTarget: { name, value } }) => {
    task.clear();
    keep({ [name]: value });
  };
  return (
    <form
      class={`new-agent ${isFirst ? "is-first" : ""}`}
      onSubmit={(event) => (event.preventDefault(), void task.run())}
    >
      <div class="row">
        <input
          name="name"
          aria-label={words.nameOfNew}
          placeholder={words.newAgent}
          maxLength={64}
          value={draft.name}
          autocomplete="off"
          onInput={edit}
        />
        <button type="submit" class={isFirst ? "primary" : ""} disabled={task.isBusy}>
          {words.create}
        </button>
      </div>
      <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>{words.more}</summary>
        {isOpen && <More draft={draft} edit={edit} />}
      </details>
      <Failure error={task.failure} />
    </form>
  );
}

function More({ draft, edit }: { draft: Draft; edit: Edit }) {
  const words = t().agents;
  return (
    <>
      <label>
        {words.kind}
        <select name="runtime" value={draft.runtime} onChange={edit}>
          {runtimeNames.map((name) => (
            <option key={name} value={name}>
              {runtimes[name].words().choice}
            </option>
          ))}
        </select>
      </label>
      <label>
        {words.repository}
        <input
          name="repository"
          type="url"
          placeholder={words.repositoryPlaceholder}
          maxLength={2048}
          value={draft.repository}
          autocomplete="off"
          spellcheck={false}
          onInput={edit}
        />
      </label>
      {runtimes[draft.runtime].hasModel && (
        <>
          <label>
            {words.model}
            <input
              name="model"
              list="models-of-new"
              placeholder={t().conversation.modelDefault(runtimes[draft.runtime].words().name)}
              maxLength={100}
              value={draft.model}
              autocomplete="off"
              spellcheck={false}
              onInput={edit}
            />
            <ModelOptions id="models-of-new" />
          </label>
          <label>
            {words.instructions}
            <textarea
              name="instructions"
              rows={3}
              placeholder={words.instructionsPlaceholder}
              maxLength={65_536}
              value={draft.instructions}
              onInput={edit}
            />
          </label>
        </>
      )}
    </>
  );
}

/** What may be chosen in a field for a model, which takes any other too. */
export function ModelOptions({ id }: { id: string }) {
  useEffect(loadModels, []);
  return (
    <datalist id={id}>
      {models.value.map((model) => (
        <option key={model.id} value={model.id}>
          {model.name}
        </option>
      ))}
    </datalist>
  );
}

function wantedOf({ name, runtime, repository, model, instructions }: Draft) {
  const { hasModel } = runtimes[runtime];
  return {
    name: name.trim(),
    runtime,
    repository: repository.trim() || null,
    model: (hasModel && model.trim()) || null,
    instructions: hasModel && instructions.trim() ? instructions : null,
  };
}
