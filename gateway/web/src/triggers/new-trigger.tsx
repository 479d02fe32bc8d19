/** A form for a trigger: name, how the sender proves itself, and the message that a delivery becomes. */
import { useState } from "preact/hooks";
import type { Agent } from "@berth/shared/resources";
import type { TriggerWithSecret, WebhookScheme } from "@berth/shared/webhooks";
import { useTask } from "../ui/use-task.ts";
import { createTrigger, schemes } from "./triggers.ts";

const example =
  "A new delivery came in: {{payload.title}}\n\nThe whole of it is in the file named in $BERTH_PAYLOAD_FILE.";

export function NewTrigger({ agent, onMade }: { agent: Agent; onMade: (made: TriggerWithSecret) => void }) {
  const [name, setName] = useState("");
  const [scheme, setScheme] = useState<WebhookScheme>("standard");
  const [template, setTemplate] = useState(example);
  const task = useTask(async () => {
    onMade(await createTrigger(agent.id, { name: name.trim(), scheme, template }));
    setName("");
  });
  return (
    <form class="new-trigger" onSubmit={(event) => (event.preventDefault(), void (name.trim() && task.run()))}>
      <h2>New trigger</h2>
      <div class="inline">
        <input
          aria-label="Name of a new trigger"
          placeholder="What calls?"
          value={name}
          maxLength={64}
          required
          autocomplete="off"
          onInput={(event) => setName(event.currentTarget.value)}
        />
        <select
          aria-label="How the sender signs"
          value={scheme}
          onChange={(event) => setScheme(event.currentTarget.value as WebhookScheme)}
        >
          {Object.entries(schemes).map(([id, one]) => (
            <option key={id} value={id}>
              {one.name}
            </option>
          ))}
        </select>
      </div>
      <TemplateField value={template} set={setTemplate} />
      {task.failure && (
        <p class="failure" role="alert">
          {task.failure}
        </p>
      )}
      <p class="actions">
        <button type="submit" class="primary" disabled={task.isBusy}>
          Make the trigger
        </button>
      </p>
    </form>
  );
}

export function TemplateField({ value, set }: { value: string; set: (value: string) => void }) {
  return (
    <label>
      Message to the agent
      <textarea
        rows={4}
        value={value}
        required
        spellcheck={false}
        onInput={(event) => set(event.currentTarget.value)}
      />
      <span class="muted">
        Mustache: <code>{"{{payload.…}}"}</code> is the body as JSON, <code>{"{{headers.…}}"}</code> its headers,{" "}
        <code>{"{{trigger.name}}"}</code> this trigger.
      </span>
    </label>
  );
}
