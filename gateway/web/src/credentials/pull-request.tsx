/** Opens a pull request from the branch that the agent's repository is on; it is there where a credential of the user's may. */
import { useEffect, useState } from "preact/hooks";
import type { GitCredential, PullRequest } from "@berth/shared/credentials/credentials";
import type { Agent } from "@berth/shared/resources";
import { call, getAll } from "../api/api.ts";
import { t } from "../i18n/language.ts";
import { fieldOf, useKeptFields } from "../kept/use-kept.ts";
import { Dialog, FormDialog } from "../ui/dialog.tsx";
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
  const field = fieldOf(draft, keep);
  const [opened, setOpened] = useState<PullRequest | null>(null);
  const task = useTask(async () => {
    const { base, ...body } = draft;
    const wanted = { ...body, ...(base.trim() && { base: base.trim() }) };
    setOpened(await call<PullRequest>("POST", `/v1/agents/${agent.id}/pull-requests`, wanted));
    forget();
  });
  if (opened) return <Opened opened={opened} onClose={onClose} />;
  return (
    <FormDialog title={words.act} action={words.open} mayAct={draft.title.trim() !== ""} task={task} onClose={onClose}>
      <p class="muted">{words.what}</p>
      <label>
        {words.title}
        <input {...field("title")} autocomplete="off" required maxLength={250} />
      </label>
      <label>
        {words.body}
        <textarea {...field("body")} autocomplete="off" rows={5} maxLength={60_000} />
      </label>
      <label>
        {words.base}
        <input {...field("base")} autocomplete="off" maxLength={250} placeholder={words.baseDefault} />
      </label>
    </FormDialog>
  );
}

function Opened({ opened: { url }, onClose }: { opened: PullRequest; onClose: () => void }) {
  return (
    <Dialog title={t().conversation.pullRequest.opened} onClose={onClose} end={t().common.close}>
      <p>
        {/^https?:/.test(url) ? (
          <a href={url} target="_blank" rel="noopener noreferrer">
            {url}
          </a>
        ) : (
          url
        )}
      </p>
    </Dialog>
  );
}
