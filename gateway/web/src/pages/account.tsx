/** What goes by the user's name elsewhere: author and committer in git. */
import "../style/lists.css";
import { useState } from "preact/hooks";
import type { Me } from "@berth/shared/users";
import { t } from "../i18n/language.ts";
import { updateMe } from "../state/session.ts";
import { fieldOf, useKeptFields } from "../kept/use-kept.ts";
import { Form } from "../ui/form.tsx";
import { useTask } from "../ui/use-task.ts";

export function AccountPage({ me: { user } }: { me: Me }) {
  const words = t().account;
  const saved = { gitName: user.gitName ?? "", gitEmail: user.gitEmail ?? "" };
  const [draft, keep, forget] = useKeptFields(`berth.account.${user.id}`, saved);
  const [isSaved, setSaved] = useState(false);
  const task = useTask(async () => {
    await updateMe({ gitName: draft.gitName.trim() || null, gitEmail: draft.gitEmail.trim() || null });
    forget();
    setSaved(true);
  });
  const field = fieldOf(draft, (written) => {
    setSaved(false);
    keep(written);
  });
  return (
    <section class="page narrow scroller settings" tabIndex={0} aria-label={words.title}>
      <h1>{words.title}</h1>
      <h2>{words.commits}</h2>
      <p class="muted">{words.commitsWhat}</p>
      <Form task={task} action={t().common.save} said={isSaved && words.saved}>
        <label>
          {words.gitName}
          <input {...field("gitName")} maxLength={200} placeholder={user.name} autocomplete="name" />
        </label>
        <label>
          {words.gitEmail}
          <input
            {...field("gitEmail")}
            type="email"
            maxLength={200}
            placeholder={words.gitEmailPlaceholder}
            autocomplete="email"
          />
        </label>
      </Form>
    </section>
  );
}
