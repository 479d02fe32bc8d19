/** Which processes of Berth run on this machine, and whether they answer. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The pid in a pid file when that process is alive and one of Node's, else null. */
export function pidIn(dir: string, name: string): number | null {
  try {
    const pid = Number(readFileSync(join(dir, name), "utf8"));
    return pid > 0 && readFileSync(`/proc/${pid}/comm`, "utf8").match(/^(node|MainThread)/) ? pid : null;
  } catch {
    return null;
  }
}

/** Whether a GET there is answered with 200, within 2 s. */
export async function answers(url: string): Promise<boolean> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(2000) }).catch(() => null);
  await answer?.body?.cancel();
  return answer?.status === 200;
}
