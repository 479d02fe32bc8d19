/** Calls between a process and its parent over IPC, each answered once. */
import type { ChildProcess } from "node:child_process";

interface Message {
  id: number;
  name: string;
  value?: unknown;
  error?: string;
}

/** Answers what the parent asks; ends with it. */
export function serveParent(jobs: Record<string, (value: never) => Promise<unknown>>): void {
  process.on("message", ({ id, name, value }: Message) => {
    jobs[name]!(value as never).then(
      (answer) => process.send!({ id, name, value: answer }),
      (error: unknown) => process.send!({ id, name, error: error instanceof Error ? error.stack : String(error) }),
    );
  });
  process.on("disconnect", () => process.exit(0));
}

/** Asks the child; rejects with what it throws, or when it ends. */
export function askChild(child: ChildProcess) {
  let last = 0;
  return <T>(name: string, value: unknown = null): Promise<T> =>
    new Promise((resolve, reject) => {
      const id = ++last;
      const settle = (act: () => void) => {
        child.off("message", take);
        child.off("exit", gone);
        act();
      };
      const take = (message: Message) => {
        if (message.id !== id) return;
        settle(() => (message.error === undefined ? resolve(message.value as T) : reject(new Error(message.error))));
      };
      const gone = () => settle(() => reject(new Error(`the child ended before it answered ${name}`)));
      child.on("message", take);
      child.on("exit", gone);
      child.send({ id, name, value });
    });
}
