/** What goes by the scheme of a trigger: its words, the form that makes one, where it is called and by what secret. */
import { useState } from "preact/hooks";
import type { Agent } from "@berth/shared/resources";
import { runtimeFacts } from "@berth/shared/kinds/runtimes";
import type { Trigger, TriggerScheme, TriggerWithSecret } from "@berth/shared/webhooks";
import { t } from "../i18n/language.ts";
import { Confirm } from "../ui/confirm.tsx";
import { CopyButton } from "../ui/copy-button.tsx";
import { NameForm } from "../ui/name-form.tsx";
import { OnlyHere, ShownOnce } from "../ui/shown-once.tsx";
import { useKept } from "../kept/use-kept.ts";
import { TemplateField, useMeaning } from "./template-field.tsx";
import { createTrigger, rotateTrigger } from "./triggers.ts";

/** In the order in which they are offered. */
const schemeNames: TriggerScheme[] = ["standard", "github", "token"];
export const nameOfScheme = (scheme: TriggerScheme) => t().triggers.schemes[scheme][0];

const payloadFile = "$BERTH_PAYLOAD_FILE";
/** What a new trigger says at first. GitHub's ping (it alone has a `zen`) gives an empty message, and so no run. */
function exampleOf({ runtime }: Agent, scheme: TriggerScheme): string {
  const words = t().triggers;
  if (runtimeFacts[runtime].isScript) return `cat "${payloadFile}"`;
  if (scheme !== "github") return words.example("{{payload}}", payloadFile);
  const report = words.exampleGithub({
    event: "{{headers.x-github-event}}",
    action: "{{payload.action}}",
    repository: "{{payload.repository.full_name}}",
    file: payloadFile,
  });
  return `{{^payload.zen}}${report}{{/payload.zen}}`;
}
const daySeconds = 86_400;

type OnSecret = (trigger: TriggerWithSecret) => void;

export function NewTrigger({ agent, onMade }: { agent: Agent; onMade: OnSecret }) {
  const words = t().triggers;
  const [written, setWritten, forget] = useKept(`berth.trigger.${agent.id}`);
  const templateOf = (scheme: TriggerScheme) => written ?? exampleOf(agent, scheme);
  const meaning = useMeaning(agent);
  const make = async (name: string, scheme: TriggerScheme) => {
    const template = templateOf(scheme);
    meaning.insist(template);
    onMade(await createTrigger(agent.id, { name, scheme, template }));
    forget();
  };
  return (
    <NameForm
      place={`trigger.${agent.id}`}
      title={words.newTitle}
      label={words.nameOfNew}
      placeholder={words.namePlaceholder}
      choiceLabel={words.signs}
      choices={schemeNames.map((scheme) => [scheme, nameOfScheme(scheme)])}
      initial="standard"
      action={words.make}
      act={make}
    >
      {(scheme) => (
        <>
          <TemplateField value={templateOf(scheme)} set={setWritten} />
          {meaning.question(templateOf(scheme))}
        </>
      )}
    </NameForm>
  );
}

/** What the sender must be given: shown when the trigger was made or its secret renewed. */
export function SecretOnce({ trigger }: { trigger: TriggerWithSecret }) {
  return (
    <div class="secret">
      <p>{t().triggers.schemes[trigger.scheme][1]}</p>
      <OnlyHere url={trigger.url} />
      <CalledAt trigger={trigger} />
      <ShownOnce text={trigger.secret} what={t().common.theSecret} />
    </div>
  );
}

/** Where, or when, the trigger is called. */
export function CalledAt({ trigger }: { trigger: Trigger }) {
  return (
    <p class="address">
      <code>{trigger.url}</code> <CopyButton text={trigger.url} label={t().triggers.copyAddress} />
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
        {t().triggers.newSecret}
      </button>
      {isAsked && <Rotate {...props} onClose={() => setAsked(false)} />}
    </>
  );
}

function Rotate({ trigger, onSecret, onClose }: SecretProps & { onClose: () => void }) {
  const words = t().triggers;
  const [keepsOld, setKeepsOld] = useState(false);
  return (
    <Confirm
      title={words.newSecretTitle(trigger.name)}
      action={words.newSecretAct}
      onClose={onClose}
      act={async () => onSecret(await rotateTrigger(trigger.id, keepsOld ? daySeconds : 0))}
    >
      <p>{keepsOld ? words.oldEndsLater : words.oldEndsNow}</p>
      <label class="check">
        <input type="checkbox" checked={keepsOld} onChange={(event) => setKeepsOld(event.currentTarget.checked)} />{" "}
        {words.keepOld}
      </label>
    </Confirm>
  );
}
