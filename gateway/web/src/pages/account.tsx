/** What goes by the user's name elsewhere: author and committer in git. */
import { useState } from "preact/hooks";
import type { Me } from "@berth/shared/users";
import { updateMe } from "../state/session.ts";
import { Failure } from "../ui/failure.tsx";
import { useTask } from "../ui/use-task.ts";

export function AccountPage({ me: { user } }: { me: Me }) {
  const [draft, setDraft] = useState({ gitName: user.gitName ?? "", gitEmail: user.gitEmail ?? "" });
  const [isSaved, setSaved] = useState(false);
  const task = useTask(async () => {
    await updateMe({ gitName: draft.gitName.trim() || null, gitEmail: draft.gitEmail.trim() || null });
    setSaved(true);
  });
  const edit = (event: { currentTarget: HTMLInputElement }) => {
    setSaved(false);
    setDraft({ ...draft, [event.currentTarget.name]: event.currentTarget.value });
  };
  return (
    <section class="page narrow scroller settings" tabIndex={0} aria-label="Account">
      <h1>Account</h1>
      <h2>Commits</h2>
      <p class="muted">Your agents commit as this author, unless a repository says otherwise.</p>
      <form onSubmit={(event) => (event.preventDefault(), void task.run())}>
        <label>
          Author's name
          <input
            name="gitName"
            value={draft.gitName}
            maxLength={200}
            placeholder={user.name}
            autocomplete="name"
            onInput={edit}
          />
        </label>
        <label>
          Author's e-mail address
          <input
            name="gitEmail"
            type="email"
            value={draft.gitEmail}
            maxLength={200}
            placeholder="none that reaches you"
            autocomplete="email"
            onInput={edit}
          />
        </label>
        <Failure words={task.failure} />
        <p class="actions">
          <button type="submit" class="primary" disabled={task.isBusy}>
            Save
          </button>
          <span role="status" class="muted">
            {isSaved && "Saved. The next commit has it."}
          </span>
        </p>
      </form>
    </section>
  );
}
