/** Pages that are loaded when they are first looked at, so that the first one is small. */
import { signal } from "@preact/signals";
import type { FunctionComponent } from "preact";
import { useEffect } from "preact/hooks";
import { ApiError } from "../api/api.ts";
import { speakMore } from "../i18n/language.ts";
import { Failure, Loading } from "../ui/failure.tsx";
import { useAgain, useTask } from "../ui/use-task.ts";

/** A part of a page shows nothing until it is there. `speaksMore`: with the words that few pages have. */
export function later<P extends object>(
  load: () => Promise<FunctionComponent<P>>,
  { isPart = false, speaksMore = false } = {},
): FunctionComponent<P> {
  const loaded = signal<FunctionComponent<P> | null>(null);
  return function Later(props: P) {
    const task = useTask(async () => {
      if (loaded.value) return;
      const work = Promise.all([load(), speaksMore ? speakMore() : null]);
      const [page] = await work.catch(refresh);
      loaded.value = page;
    });
    useEffect(() => void task.run(), []);
    useAgain(task.failure, task.run);
    const Page = loaded.value;
    if (Page) return <Page {...props} />;
    if (isPart && !task.failure) return null;
    return <div class="page">{task.failure ? <Failure error={task.failure} /> : <Loading />}</div>;
  };
}

const reloadedFor = "berth.reloaded-for";

/** An upgrade replaces what an open page would load: where the gateway answers, the page is loaded anew, once for each build. */
async function refresh(): Promise<never> {
  const isUp = await fetch("/healthz").then(
    ({ ok }) => ok,
    () => false,
  );
  if (!isUp) throw new ApiError("offline");
  const build = import.meta.url;
  if (sessionStorage.getItem(reloadedFor) === build) throw new ApiError("outdated");
  sessionStorage.setItem(reloadedFor, build);
  location.reload();
  throw new ApiError("offline");
}
