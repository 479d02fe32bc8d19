/** The triggers of an agent: webhooks that send it messages by themselves. */
import { useEffect, useState } from "preact/hooks";
import type { Agent } from "@berth/shared/resources";
import type { Trigger, TriggerWithSecret } from "@berth/shared/webhooks";
import { t } from "../i18n/language.ts";
import { NewTrigger, SecretOnce } from "./schemes.tsx";
import { TriggerCard } from "./trigger-card.tsx";
import { listTriggers } from "./triggers.ts";
import { useAgain } from "../ui/use-pages.ts";
import { Failure } from "../ui/failure.tsx";

export function TriggersTab({ agent }: { agent: Agent }) {
  const [triggers, setTriggers] = useState<Trigger[] | null>(null);
  const [made, setMade] = useState<TriggerWithSecret | null>(null);
  const [failure, setFailure] = useState<unknown>(null);
  const load = () => listTriggers(agent.id).then((all) => (setTriggers(all), setFailure(null)), setFailure);
  useEffect(() => void load(), [agent.id]);
  useAgain(failure, load);
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
      {!triggers && !failure && (
        <p class="muted" role="status">
          {t().common.loading}
        </p>
      )}
    </div>
  );
}
