/** A call that a button starts: whether it is under way, and why it failed; and one that is made again while nothing answers. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api/api.ts";

export type Task = Pick<ReturnType<typeof useTask<[]>>, "run" | "isBusy" | "failure">;

export function useTask<A extends unknown[]>(work: (...args: A) => Promise<unknown>) {
  const [isBusy, setBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>(null);
  const busy = useRef(false);
  /** Starts it, unless it is under way already; answers whether it went well. */
  const run = async (...args: A): Promise<boolean> => {
    if (busy.current) return false;
    busy.current = true;
    setBusy(true);
    setFailure(null);
    try {
      await work(...args);
      return true;
    } catch (error) {
      setFailure(error);
      return false;
    } finally {
      busy.current = false;
      setBusy(false);
    }
  };
  return { run, isBusy, failure, clear: () => setFailure(null) };
}

/**
 * As `useTask`, for what counts once: `work` gets a key that is the same until it is known to have arrived, so that a second press
 * sends nothing twice.
 */
export function useOnce(work: (key: string) => Promise<unknown>) {
  const key = useRef(crypto.randomUUID());
  return useTask(async () => {
    await work(key.current);
    key.current = crypto.randomUUID();
  });
}

const againMs = 5000;
const awayCodes = new Set<ApiError["code"]>(["offline", "host_unavailable", "outdated"]);

/** Loads again and again while what is asked does not answer: what comes back shows without a reload. */
export function useAgain(failure: unknown, load: () => unknown): void {
  const isAway = failure instanceof ApiError && awayCodes.has(failure.code);
  useEffect(() => {
    if (!isAway) return;
    const timer = setTimeout(load, againMs);
    return () => clearTimeout(timer);
  }, [failure]);
}
