/** One trigger: its address, its message, what came in, and the ways to change or end it. */
import type { Trigger, TriggerWithSecret } from "@berth/shared/webhooks";
import { useState } from "preact/hooks";
import { Ago } from "../ui/ago.tsx";
import { Confirm } from "../ui/confirm.tsx";
import { CopyButton } from "../ui/copy-button.tsx";
import { useTask } from "../ui/use-task.ts";
import { Deliveries } from "./deliveries.tsx";
import { TemplateField } from "./new-trigger.tsx";
import { deleteTrigger, rotateTrigger, schemes, updateTrigger } from "./triggers.ts";
import { Failure } from "../ui/failure.tsx";

const daySeconds = 86_400;

interface TriggerCardProps {
  trigger: Trigger;
  onChange: () => void;
  onSecret: (trigger: TriggerWithSecret) => void;
}

export function TriggerCard({ trigger, onChange, onSecret }: TriggerCardProps) {
  const [asked, setAsked] = useState<"delete" | "rotate" | null>(null);
  const [isOpen, setOpen] = useState(false);
  const [isEditing, setEditing] = useState(false);
  return (
    <section class="card host" aria-label={`Trigger ${trigger.name}`}>
      <h2>
        {trigger.name} <span class="muted">{schemes[trigger.scheme].name}</span>
      </h2>
      <p class="address">
        <code>{trigger.url}</code> <CopyButton text={trigger.url} label="Copy the address" />
      </p>
      {isEditing ? (
        <Edit trigger={trigger} onDone={() => (setEditing(false), onChange())} />
      ) : (
        <pre class="plain template">{trigger.template}</pre>
      )}
      <p class="actions">
        <button type="button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          {isOpen ? "Hide the deliveries" : "Deliveries"}
        </button>
        <button type="button" onClick={() => setEditing(!isEditing)}>
          {isEditing ? "Leave it as it is" : "Change the message"}
        </button>
        <button type="button" class="quiet" onClick={() => setAsked("rotate")}>
          New secret …
        </button>
        <button type="button" class="quiet" onClick={() => setAsked("delete")}>
          Delete …
        </button>
        <span class="muted">
          {trigger.lastDeliveryAt ? (
            <>
              last called <Ago time={trigger.lastDeliveryAt} />
            </>
          ) : (
            "never called yet"
          )}
        </span>
      </p>
      {isOpen && <Deliveries triggerId={trigger.id} />}
      {asked === "rotate" && <Rotate trigger={trigger} onSecret={onSecret} onClose={() => setAsked(null)} />}
      {asked === "delete" && (
        <Confirm
          title={`Delete ${trigger.name}?`}
          action="Delete"
          onClose={() => setAsked(null)}
          act={() => deleteTrigger(trigger.id).then(onChange)}
        >
          <p>
            Its address answers no longer, its deliveries go, and messages that still wait are dropped. Runs and their
            transcripts stay.
          </p>
        </Confirm>
      )}
    </section>
  );
}

function Rotate({ trigger, onSecret, onClose }: Omit<TriggerCardProps, "onChange"> & { onClose: () => void }) {
  const [keepsOld, setKeepsOld] = useState(false);
  return (
    <Confirm
      title={`A new secret for ${trigger.name}?`}
      action="Make it"
      onClose={onClose}
      act={async () => onSecret(await rotateTrigger(trigger.id, keepsOld ? daySeconds : 0))}
    >
      <p>
        {keepsOld
          ? "The old one stays good for a day, so that the sender can be changed meanwhile."
          : "The old one ends at once: the sender is refused until it has the new one."}
      </p>
      <label class="check">
        <input type="checkbox" checked={keepsOld} onChange={(event) => setKeepsOld(event.currentTarget.checked)} /> Keep
        the old one good for a day: only if nobody else has it
      </label>
    </Confirm>
  );
}

function Edit({ trigger, onDone }: { trigger: Trigger; onDone: () => void }) {
  const [template, setTemplate] = useState(trigger.template);
  const task = useTask(async () => {
    await updateTrigger(trigger.id, { template });
    onDone();
  });
  return (
    <form class="new-trigger" onSubmit={(event) => (event.preventDefault(), void task.run())}>
      <TemplateField value={template} set={setTemplate} />
      <Failure words={task.failure} />
      <p class="actions">
        <button type="submit" class="primary" disabled={task.isBusy}>
          Save
        </button>
      </p>
    </form>
  );
}
