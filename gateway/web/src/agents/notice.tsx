/** What the user must be told until they say that they have read it. */
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
        <strong>Please note:</strong> {text}
      </span>
      <button type="button" class="quiet" onClick={() => void task.run()} disabled={task.isBusy}>
        I have read it
      </button>
    </p>
  );
}
