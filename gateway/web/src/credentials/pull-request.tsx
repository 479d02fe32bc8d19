/** Opens a pull request from the branch that the agent's repository is on; it is there where a credential of the user's may. */
import { useEffect, useState } from "preact/hooks";
import type { GitCredential, PullRequest } from "@berth/shared/credentials/credentials";
import type { Agent } from "@berth/shared/resources";
import { call, getAll } from "../api/api.ts";
import { t } from "../i18n/language.ts";
import { useKeptFields } from "../kept/use-kept.ts";
import { Dialog } from "../ui/dialog.tsx";
import { Failure } from "../ui/failure.tsx";
import { useTask } from "../ui/use-task.ts";

export function PullRequestButton({ agent }: { agent: Agent }) {
  const [mayOpen, setMayOpen] = useState(false);
  const [isOpen, setOpen] = useState(false);
  useEffect(() => {
    const take = (all: GitCredential[]) => setMayOpen(all.some((one) => !one.readOnly && one.host === hostOf(agent)));
    // Without an answer there is no button, and nothing else is missing.
    getAll<GitCredential>("/v1/git-credentials").then(take, () => undefined);
  }, [agent.repository]);
  if (!mayOpen) return null;
  return (
    <>
      <button type="button" class="quiet" onClick={() => setOpen(true)}>
        {t().conversation.pullRequest.act}
      </button>
      {isOpen && <PullRequestDialog agent={agent} onClose={() => setOpen(false)} />}
    </>
  );
}

function hostOf({ repository }: Agent): string | null {
  return repository && URL.canParse(repository) ? new URL(repository).host : null;
}

const empty = { title: "", body: "", base: "" };

function PullRequestDialog({ agent, onClose }: { agent: Agent; onClose: () => void }) {
  const words = t().conversation.pullRequest;
  const [draft, keep, forget] = useKeptFields(`berth.pull.${agent.id}`, empty);
  const [opened, setOpened] = useState<PullRequest | null>(null);
  const task = useTask(async () => {
    const { base, ...body } = draft;
    const wanted = { ...body, ...(base.trim() && { base: base.trim() }) };
    setOpened(await call<PullRequest>("POST", `/v1/agents/${agent.id}/pull-requests`, wanted));
    forget();
  });
  const edit = ({ currentTarget: { name, value } }: { currentTarget: HTMLInputElement | HTMLTextAreaElement }) =>
    keep({ [name]: value });
  const text = { onInput: edit, autocomplete: "off" as const };
  if (opened) return <Opened opened={opened} onClose={onClose} />;
  return (
    <Dialog title={words.act} onClose={onClose}>
      <form onSubmit={(event) => (event.preventDefault(), void task.run())}>
        <p class="muted">{words.what}</p>
        <label>
          {words.title}
          <input {...text} name="title" value={draft.title} required maxLength={250} />
        </label>
        <label>
          {words.body}
          <textarea {...text} name="body" rows={5} value={draft.body} maxLength={60_000} />
        </label>
        <label>
          {words.base}
          <input {...text} name="base" value={draft.base} maxLength={250} placeholder={words.baseDefault} />
        </label>
        <Failure error={task.failure} />
        <p class="actions">
          <button type="button" onClick={onClose}>
            {t().common.cancel}
          </button>
          <button type="submit" class="primary" disabled={task.isBusy || !draft.title.trim()}>
            {task.isBusy ? t().common.moment : words.open}
          </button>
        </p>
      </form>
    </Dialog>
  );
}

function Opened({ opened: { url }, onClose }: { opened: PullRequest; onClose: () => void }) {
  return (
    <Dialog title={t().conversation.pullRequest.opened} onClose={onClose}>
      <p>
        {/^https?:/.test(url) ? (
          <a href={url} target="_blank" rel="noopener noreferrer">
            {url}
          </a>
        ) : (
          url
        )}
      </p>
      <p class="actions">
        <button type="button" onClick={onClose}>
          {t().common.close}
        </button>
      </p>
    </Dialog>
  );
}
