/** One trigger: its address, its message, what came in, and the ways to change or end it. */
import type { Trigger, TriggerWithSecret } from "@berth/shared/webhooks";
import { useState } from "preact/hooks";
import { t } from "../i18n/language.ts";
import { useKept } from "../state/use-kept.ts";
import { Ago } from "../ui/ago.tsx";
import { Confirm } from "../ui/confirm.tsx";
import { useTask } from "../ui/use-task.ts";
import { Deliveries } from "./deliveries.tsx";
import { CalledAt, nameOfScheme, NewSecret } from "./schemes.tsx";
import { TemplateField } from "./template-field.tsx";
import { deleteTrigger, updateTrigger } from "./triggers.ts";
import { Failure } from "../ui/failure.tsx";

interface TriggerCardProps {
  trigger: Trigger;
  onChange: () => void;
  onSecret: (trigger: TriggerWithSecret) => void;
}

export function TriggerCard({ trigger, onChange, onSecret }: TriggerCardProps) {
  const words = t().triggers;
  const [isAsked, setAsked] = useState(false);
  const [isOpen, setOpen] = useState(false);
  const [template, write, forget] = useKept(`berth.template.${trigger.id}`);
  return (
    <section class="card host" aria-label={words.one(trigger.name)}>
      <h2>
        {trigger.name} <span class="muted">{nameOfScheme(trigger.scheme)}</span>
      </h2>
      <CalledAt trigger={trigger} />
      {template !== null ? (
        <Edit id={trigger.id} template={template} write={write} onDone={() => (forget(), onChange())} />
      ) : (
        <pre class="plain template">{trigger.template}</pre>
      )}
      {trigger.executesPayload && template === null && <p class="muted">{words.runsSenderNote}</p>}
      <p class="actions">
        <button type="button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          {isOpen ? words.hideDeliveries : words.deliveries}
        </button>
        <button type="button" onClick={() => (template === null ? write(trigger.template) : forget())}>
          {template === null ? words.changeMessage : words.leaveAsIs}
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
  id: string;
  template: string;
  write: (template: string) => void;
  onDone: () => void;
}

function Edit({ id, template, write, onDone }: EditProps) {
  const task = useTask(async () => {
    await updateTrigger(id, { template });
    onDone();
  });
  return (
    <form class="new-trigger" onSubmit={(event) => (event.preventDefault(), void task.run())}>
      <TemplateField value={template} set={write} />
      <Failure error={task.failure} />
      <p class="actions">
        <button type="submit" class="primary" disabled={task.isBusy}>
          {t().common.save}
        </button>
      </p>
    </form>
  );
}
