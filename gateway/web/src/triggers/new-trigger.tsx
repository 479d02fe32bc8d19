/** A form for a trigger: name, how the sender proves itself, and the message that a delivery becomes. */
import { useState } from "preact/hooks";
import type { Agent } from "@berth/shared/resources";
import type { TriggerWithSecret, WebhookScheme } from "@berth/shared/webhooks";
import { NameForm } from "../ui/name-form.tsx";
import { createTrigger, schemeNames, schemes } from "./triggers.ts";

const example =
  "A new delivery came in: {{payload.title}}\n\nThe whole of it is in the file named in $BERTH_PAYLOAD_FILE.";

export function NewTrigger({ agent, onMade }: { agent: Agent; onMade: (made: TriggerWithSecret) => void }) {
  const [template, setTemplate] = useState(example);
  const make = async (name: string, scheme: WebhookScheme) =>
    onMade(await createTrigger(agent.id, { name, scheme, template }));
  return (
    <NameForm
      title="New trigger"
      label="Name of a new trigger"
      placeholder="What calls?"
      choiceLabel="How the sender signs"
      choices={schemeNames.map((scheme) => [scheme, schemes[scheme].name])}
      initial="standard"
      action="Make the trigger"
      act={make}
    >
      <TemplateField value={template} set={setTemplate} />
    </NameForm>
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
