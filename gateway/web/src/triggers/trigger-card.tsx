/** One trigger: its address, its message, what came in, and the ways to change or end it. */
import type { Agent } from "@berth/shared/resources";
import type { Trigger, TriggerWithSecret } from "@berth/shared/webhooks";
import { useState } from "preact/hooks";
import { t } from "../i18n/language.ts";
import { useKept } from "../kept/use-kept.ts";
import { Ago } from "../ui/ago.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { readFilters } from "../ui/router.tsx";
import { useTask } from "../ui/use-task.ts";
import { Deliveries } from "./deliveries.tsx";
import { CalledAt, nameOfScheme, NewSecret } from "./schemes.tsx";
import { TemplateField, useMeaning } from "./template-field.tsx";
import { deleteTrigger, updateTrigger } from "./triggers.ts";
import { Form } from "../ui/form.tsx";

interface TriggerCardProps {
  agent: Agent;
  trigger: Trigger;
  onChange: () => void;
  onSecret: (trigger: TriggerWithSecret) => void;
}

export function TriggerCard({ agent, trigger, onChange, onSecret }: TriggerCardProps) {
  const words = t().triggers;
  const [isAsked, setAsked] = useState(false);
  // In the address: who looks at a run of it comes back to them.
  const { values, set } = readFilters(["deliveries"]);
  const isOpen = values.deliveries === trigger.id;
  const [template, write, forget] = useKept(`berth.template.${trigger.id}`);
  return (
    <section class="card host" aria-label={words.one(trigger.name)}>
      <h2>
        {trigger.name} <span class="muted">{nameOfScheme(trigger.scheme)}</span>
      </h2>
      <CalledAt trigger={trigger} />
      {template !== null ? (
        <Edit agent={agent} id={trigger.id} template={template} write={write} onDone={() => (forget(), onChange())} />
      ) : (
        <pre class="plain template">{trigger.template}</pre>
      )}
      {trigger.executesPayload && template === null && <p class="muted">{words.runsSenderNote}</p>}
      <p class="actions">
        <button type="button" aria-expanded={isOpen} onClick={() => set("deliveries")(isOpen ? "" : trigger.id)}>
          {isOpen ? words.hideDeliveries : words.deliveries}
        </button>
        <button type="button" onClick={() => (template === null ? write(trigger.template) : forget())}>
          {template === null ? words.changeMessage : t().common.leaveAsIs}
        </button>
        <NewSecret trigger={trigger} onSecret={onSecret} />
        <button type="button" class="quiet" onClick={() => setAsked(true)}>
          {t().common.deleteAsk}
        </button>
        <span class="muted">
          {trigger.lastDeliveryAt ? words.lastCalled(<Ago time={trigger.lastDeliveryAt} />) : words.neverCalled}
        </span>
      </p>
      {isOpen && <Deliveries triggerId={trigger.id} />}
      {isAsked && (
        <Confirm
          title={words.deleteTitle(trigger.name)}
          action={t().common.delete}
          onClose={() => setAsked(false)}
          act={() => deleteTrigger(trigger.id).then(onChange)}
        >
          <p>{words.deleteLoss}</p>
        </Confirm>
      )}
    </section>
  );
}

interface EditProps {
  agent: Agent;
  id: string;
  template: string;
  write: (template: string) => void;
  onDone: () => void;
}

function Edit({ agent, id, template, write, onDone }: EditProps) {
  const meaning = useMeaning(agent);
  const task = useTask(async () => {
    meaning.insist(template);
    await updateTrigger(id, { template });
    onDone();
  });
  return (
    <Form class="new-trigger" task={task} action={t().common.save}>
      <TemplateField value={template} set={write} />
      {meaning.question(template)}
    </Form>
  );
}
