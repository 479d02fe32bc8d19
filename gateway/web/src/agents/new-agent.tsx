/** A new agent: a name is enough; what else it may be given is one click away. Where the limit is reached, it says so instead. */
import { useEffect, useState } from "preact/hooks";
import { t } from "../i18n/language.ts";
import type { Runtime } from "../runtimes/runtime.ts";
import { runtimeNames, runtimes } from "../runtimes/runtimes.ts";
import { agents, createAgent } from "../state/agents.ts";
import { loadModels, models } from "../state/models.ts";
import { fieldOf, useKeptFields, type FieldOf } from "../kept/use-kept.ts";
import { Options } from "../ui/form.tsx";
import { go } from "../ui/router.tsx";
import type { Me } from "@berth/shared/users";
import { useTask } from "../ui/use-task.ts";
import { Failure } from "../ui/failure.tsx";

const empty = { name: "", runtime: runtimeNames[0]!, repository: "", model: "", instructions: "" };
type Draft = typeof empty;

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
  const field = fieldOf(draft, (written) => {
    task.clear();
    keep(written);
  });
  return (
    <form
      class={`new-agent ${isFirst ? "is-first" : ""}`}
      onSubmit={(event) => (event.preventDefault(), void task.run())}
    >
      <div class="row">
        <input
          {...field("name")}
          aria-label={words.nameOfNew}
          placeholder={words.newAgent}
          maxLength={64}
          autocomplete="off"
        />
        <button type="submit" class={isFirst ? "primary" : ""} disabled={task.isBusy}>
          {t().common.create}
        </button>
      </div>
      <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>{words.more}</summary>
        {isOpen && <More runtime={runtimes[draft.runtime]} field={field} />}
      </details>
      <Failure error={task.failure} />
    </form>
  );
}

interface MoreProps {
  runtime: Runtime;
  field: FieldOf<Draft>;
}

function More({ runtime, field }: MoreProps) {
  const words = t().agents;
  return (
    <>
      <label>
        {words.kind}
        <select {...field("runtime")}>
          <Options of={runtimeNames.map((name) => [name, runtimes[name].words().choice])} />
        </select>
      </label>
      <label>
        {words.repository}
        <input
          {...field("repository")}
          type="url"
          placeholder={words.repositoryPlaceholder}
          maxLength={2048}
          autocomplete="off"
          spellcheck={false}
        />
      </label>
      {runtime.hasModel && <ModelFields id="models-of-new" runtime={runtime} field={field} rows={3} />}
    </>
  );
}

interface ModelFieldsProps {
  /** Of what may be chosen. */
  id: string;
  runtime: Runtime;
  field: FieldOf<{ model: string; instructions: string }>;
  rows: number;
}

/** Any other model may be written too. */
export function ModelFields({ id, runtime, field, rows }: ModelFieldsProps) {
  const words = t().agents;
  useEffect(loadModels, []);
  return (
    <>
      <label>
        {words.model}
        <input
          {...field("model")}
          list={id}
          placeholder={t().conversation.modelDefault(runtime.words().name)}
          maxLength={100}
          autocomplete="off"
          spellcheck={false}
        />
        <datalist id={id}>
          <Options of={models.value.map((model) => [model.id, model.name])} />
        </datalist>
      </label>
      <label>
        {words.instructions}
        <textarea
          {...field("instructions")}
          rows={rows}
          placeholder={words.instructionsPlaceholder}
          maxLength={65_536}
        />
      </label>
    </>
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
