/** What goes by the scheme of a trigger: its words, the form that makes one, where it is called and by what secret. */
import { useState } from "preact/hooks";
import type { Agent } from "@berth/shared/resources";
import type { Trigger, TriggerScheme, TriggerWithSecret } from "@berth/shared/webhooks";
import { Confirm } from "../ui/confirm.tsx";
import { CopyButton } from "../ui/copy-button.tsx";
import { NameForm } from "../ui/name-form.tsx";
import { ShownOnce } from "../ui/shown-once.tsx";
import { useKept } from "../state/use-kept.ts";
import { TemplateField } from "./template-field.tsx";
import { createTrigger, rotateTrigger } from "./triggers.ts";

const schemes: Record<TriggerScheme, { name: string; advice: string }> = {
  standard: { name: "Standard Webhooks", advice: "Give the sender the address and this signing secret." },
  github: {
    name: "GitHub",
    advice: "In the repository's settings, under Webhooks: this address, content type application/json, this secret.",
  },
  token: {
    name: "Bearer token",
    advice: "The sender posts to the address with this header: Authorization: Bearer SECRET",
  },
};
const schemeNames = Object.keys(schemes) as TriggerScheme[];
export const nameOfScheme = (scheme: TriggerScheme) => schemes[scheme].name;

const inFile = "The whole of it is in the file named in $BERTH_PAYLOAD_FILE.";
/** What a new trigger says at first. GitHub's ping (it alone has a `zen`) gives an empty message, and so no run. */
function exampleOf({ runtime }: Agent, scheme: TriggerScheme): string {
  if (runtime === "shell") return 'cat "$BERTH_PAYLOAD_FILE"';
  if (scheme !== "github") return `A new delivery came in: {{payload}}\n\n${inFile}`;
  return `{{^payload.zen}}GitHub tells of {{headers.x-github-event}} ({{payload.action}}) in {{payload.repository.full_name}}.\n\n${inFile}{{/payload.zen}}`;
}
const daySeconds = 86_400;

type OnSecret = (trigger: TriggerWithSecret) => void;

export function NewTrigger({ agent, onMade }: { agent: Agent; onMade: OnSecret }) {
  const [written, setWritten, forget] = useKept(`berth.trigger.${agent.id}`);
  const [scheme, setScheme] = useState<TriggerScheme>("standard");
  const [isMeant, setMeant] = useState(false);
  const template = written ?? exampleOf(agent, scheme);
  const isScript = agent.runtime === "shell" && template.includes("{{");
  const make = async (name: string, scheme: TriggerScheme) => {
    if (isScript && !isMeant)
      throw new Error(
        "This message is a script with the sender's words in it: say below that it is meant to run them.",
      );
    onMade(await createTrigger(agent.id, { name, scheme, template }));
    forget();
  };
  return (
    <NameForm
      title="New trigger"
      label="Name of a new trigger"
      placeholder="What calls?"
      choiceLabel="How the sender signs"
      choices={schemeNames.map((scheme) => [scheme, nameOfScheme(scheme)])}
      initial="standard"
      action="Make the trigger"
      act={make}
      onChoice={setScheme}
    >
      <TemplateField value={template} set={setWritten} />
      {isScript && (
        <label class="check">
          <input type="checkbox" checked={isMeant} onChange={(event) => setMeant(event.currentTarget.checked)} /> Run
          what the sender writes as a part of this script. Safer: read it from the file named in $BERTH_PAYLOAD_FILE.
        </label>
      )}
    </NameForm>
  );
}

/** What the sender must be given: shown when the trigger was made or its secret renewed. */
export function SecretOnce({ trigger }: { trigger: TriggerWithSecret }) {
  return (
    <div class="secret">
      <p>{schemes[trigger.scheme].advice}</p>
      <CalledAt trigger={trigger} />
      <ShownOnce text={trigger.secret} what="the secret" />
    </div>
  );
}

/** Where, or when, the trigger is called. */
export function CalledAt({ trigger }: { trigger: Trigger }) {
  return (
    <p class="address">
      <code>{trigger.url}</code> <CopyButton text={trigger.url} label="Copy the address" />
    </p>
  );
}

interface SecretProps {
  trigger: Trigger;
  onSecret: OnSecret;
}

/** The button that renews the secret. */
export function NewSecret(props: SecretProps) {
  const [isAsked, setAsked] = useState(false);
  return (
    <>
      <button type="button" class="quiet" onClick={() => setAsked(true)}>
        New secret …
      </button>
      {isAsked && <Rotate {...props} onClose={() => setAsked(false)} />}
    </>
  );
}

function Rotate({ trigger, onSecret, onClose }: SecretProps & { onClose: () => void }) {
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
