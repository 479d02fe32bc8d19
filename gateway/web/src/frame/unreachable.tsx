/** What is shown while no gateway answers at the start: it tries again by itself. */
import { useEffect } from "preact/hooks";
import { explain } from "../api/api.ts";
import { t } from "../i18n/language.ts";
import { startSession } from "../state/session.ts";
import { Brand } from "../ui/icons.tsx";
import { useTask } from "../ui/use-task.ts";

/** Between two tries while nothing answers. */
const againMs = 3000;

export function UnreachablePage({ why }: { why: unknown }) {
  const task = useTask(startSession);
  useEffect(() => {
    const timer = setInterval(() => void task.run(), againMs);
    return () => clearInterval(timer);
  }, []);
  return (
    <main class="sign-in">
      <h1>
        <Brand /> Berth
      </h1>
      <p class="warning bad" role="alert">
        {explain(why)}
      </p>
      <button type="button" class="primary" onClick={() => void task.run()} disabled={task.isBusy}>
        {t().common.tryAgain}
      </button>
    </main>
  );
}
