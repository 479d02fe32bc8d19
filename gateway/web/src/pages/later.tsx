/** Pages that are loaded when they are first looked at, so that the first one is small. */
import { signal } from "@preact/signals";
import type { FunctionComponent } from "preact";
import { useEffect } from "preact/hooks";
import { ApiError } from "../api/api.ts";
import { t } from "../i18n/language.ts";
import { Failure } from "../ui/failure.tsx";
import { useTask } from "../ui/use-task.ts";

/** A part of a page shows nothing until it is there. */
export function later<P extends object>(
  load: () => Promise<FunctionComponent<P>>,
  { isPart = false } = {},
): FunctionComponent<P> {
  const loaded = signal<FunctionComponent<P> | null>(null);
  return function Later(props: P) {
    const task = useTask(async () => {
      loaded.value ??= await load().catch(() => Promise.reject(new ApiError("offline")));
    });
    useEffect(() => void task.run(), []);
    const Page = loaded.value;
    if (Page) return <Page {...props} />;
    if (isPart && !task.failure) return null;
    return (
      <div class="page">
        {task.failure ? (
          <Failure error={task.failure} />
        ) : (
          <p class="muted" role="status">
            {t().common.loading}
          </p>
        )}
      </div>
    );
  };
}
