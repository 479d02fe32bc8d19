/** What the user must be told until they say that they have read it. */
import { t } from "../i18n/language.ts";
import { call } from "../api/api.ts";
import { refreshSession } from "../state/session.ts";
import { useTask } from "../ui/use-task.ts";

export function Notice({ text }: { text: string }) {
  const task = useTask(async () => {
    await call("DELETE", "/v1/me/notice");
    await refreshSession();
  });
  return (
    <p class="warning warn notice">
      <span>
        <strong>{t().frame.note}</strong> <span lang="en">{text}</span>
      </span>
      <button type="button" class="quiet" onClick={() => void task.run()} disabled={task.isBusy}>
        {t().frame.noted}
      </button>
    </p>
  );
}
