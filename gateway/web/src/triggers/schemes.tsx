/** What goes by the scheme of a trigger: its words, the form that makes one, where it is called and by what secret. */
import { useState } from "preact/hooks";
import type { Agent } from "@berth/shared/resources";
import { runtimeFacts } from "@berth/shared/kinds/runtimes";
import type { Trigger, TriggerScheme, TriggerWithSecret } from "@berth/shared/webhooks";
import { createWords, t } from "../i18n/language.ts";
import { Confirm } from "../ui/dialog.tsx";
import { CopyButton } from "../ui/copy-button.tsx";
import { Check, NameForm } from "../ui/name-form.tsx";
import { OnlyHere, ShownOnce } from "../ui/shown-once.tsx";
import { useKept } from "../kept/use-kept.ts";
import { TemplateField, useMeaning } from "./template-field.tsx";
import { createTrigger, rotateTrigger } from "./triggers.ts";

const payloadFile = "$BERTH_PAYLOAD_FILE";

interface Scheme {
  /** Its name, and what its sender has to be given. */
  words: () => { name: string; advice: string };
  /** What a new trigger says to its agent at first. */
  example: () => string;
}

const anyDelivery = createWords({
  en: `A new delivery came in: {{payload}}\n\nThe whole of it is in the file named in ${payloadFile}.`,
  ko: `새 요청이 들어왔어요: {{payload}}\n\n전체 내용은 ${payloadFile} 파일에 있어요.`,
});
/** Of a ping, which alone has a `zen`, it is empty, and so no run. */
const githubDelivery = createWords({
  en: `{{^payload.zen}}GitHub reports {{headers.x-github-event}} ({{payload.action}}) in {{payload.repository.full_name}}.\n\nThe whole of it is in the file named in ${payloadFile}.{{/payload.zen}}`,
  ko: `{{^payload.zen}}GitHub의 {{payload.repository.full_name}} 저장소에서 {{headers.x-github-event}} ({{payload.action}}) 이벤트가 왔어요.\n\n전체 내용은 ${payloadFile} 파일에 있어요.{{/payload.zen}}`,
});

/** In the order in which they are offered. */
const schemes: Record<TriggerScheme, Scheme> = {
  standard: {
    words: createWords({
      en: { name: "Standard Webhooks", advice: "Give the sender this address and this signing secret." },
      ko: { name: "Standard Webhooks", advice: "보내는 쪽에 이 주소와 서명 시크릿을 알려 주세요." },
    }),
    example: anyDelivery,
  },
  github: {
    words: createWords({
      en: {
        name: "GitHub",
        advice:
          "In the repository's settings, under Webhooks: this address, content type application/json, this secret.",
      },
      ko: {
        name: "GitHub",
        advice: "저장소 설정의 Webhooks에 이 주소와 시크릿을 넣고, content type은 application/json으로 하세요.",
      },
    }),
    example: githubDelivery,
  },
  token: {
    words: createWords({
      en: {
        name: "Bearer token",
        advice: "The sender posts to the address with this header: Authorization: Bearer SECRET",
      },
      ko: {
        name: "Bearer 토큰",
        advice: "보내는 쪽이 이 헤더를 붙여 주소로 POST 요청을 보내게 하세요: Authorization: Bearer 시크릿",
      },
    }),
    example: anyDelivery,
  },
};
const schemeNames = Object.keys(schemes) as TriggerScheme[];
export const nameOfScheme = (scheme: TriggerScheme) => schemes[scheme].words().name;

const exampleOf = ({ runtime }: Agent, scheme: TriggerScheme) =>
  runtimeFacts[runtime].isScript ? `cat "${payloadFile}"` : schemes[scheme].example();

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
      <p>{schemes[trigger.scheme].words().advice}</p>
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
      <Check isOn={keepsOld} set={setKeepsOld}>
        {words.keepOld}
      </Check>
    </Confirm>
  );
}
