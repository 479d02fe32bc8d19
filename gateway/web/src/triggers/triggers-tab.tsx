/** The triggers of an agent: webhooks that send it messages by themselves. */
import "../style/lists.css";
import { useState } from "preact/hooks";
import type { Agent } from "@berth/shared/resources";
import type { TriggerWithSecret } from "@berth/shared/webhooks";
import { t } from "../i18n/language.ts";
import { NewTrigger, SecretOnce } from "./schemes.tsx";
import { TriggerCard } from "./trigger-card.tsx";
import { listTriggers } from "./triggers.ts";
import { useAnswer } from "../ui/use-answer.ts";
import { Failure, Loading } from "../ui/failure.tsx";

export function TriggersTab({ agent }: { agent: Agent }) {
  const { found: triggers, failure, load } = useAnswer(() => listTriggers(agent.id), [agent.id]);
  const [made, setMade] = useState<TriggerWithSecret | null>(null);
  const show = (trigger: TriggerWithSecret) => {
    setMade(trigger);
    void load();
  };
  return (
    <div class="page scroller triggers" tabIndex={0} role="region" aria-label={t().triggers.of(agent.name)}>
      <Failure error={failure} />
      {triggers?.length === 0 && <p class="lead muted">{t().triggers.what}</p>}
      {made && <SecretOnce trigger={made} />}
      {triggers?.map((trigger) => (
        <TriggerCard key={trigger.id} agent={agent} trigger={trigger} onChange={load} onSecret={show} />
      ))}
      {triggers && <NewTrigger agent={agent} onMade={show} />}
      {!triggers && !failure && <Loading />}
    </div>
  );
}
