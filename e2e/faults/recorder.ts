/** Writes the history of a campaign to disk as it happens, and clients whose calls are in it. */
import { appendFileSync, writeFileSync } from "node:fs";
import type { Run } from "@berth/shared/resources";
import type { Recorded, ToldRun } from "../judge/events.ts";
import type { Client } from "../harness/client.ts";

export interface Recorder {
  file: string;
  write(event: Recorded): void;
  /** A number that nobody else has. */
  number(): number;
}

/** In batches: a system call an event would cost the machine more than what is tested. */
export function openRecorder(file: string): Recorder & { flush(): void; close(): void } {
  writeFileSync(file, "");
  let [waiting, count] = ["", 0];
  const flush = () => {
    if (waiting) appendFileSync(file, waiting);
    waiting = "";
  };
  const timer = setInterval(flush, 1000);
  return {
    file,
    number: () => ++count,
    write: (event) => void (waiting += `${JSON.stringify({ at: Date.now(), ...event })}\n`),
    flush,
    close() {
      clearInterval(timer);
      flush();
    },
  };
}

export const toldRun = ({ id, agentId, status, reason, exitCode, logBytes, endedAt }: Run): ToldRun => ({
  id,
  agentId,
  status,
  reason,
  exitCode,
  logBytes,
  endedAt,
});

/** The same client, whose calls and answers are written down; a call without an answer is told as status 0. */
export function recordClient(client: Client, by: string, recorder: Recorder): Client {
  const call: Client["call"] = async (method, path, body, headers) => {
    const number = recorder.number();
    const key = headers?.["idempotency-key"];
    recorder.write({ kind: "call", call: number, by, method, path, body, ...(key !== undefined && { key }) });
    try {
      const answer = await client.call(method, path, body, headers);
      recorder.write({ kind: "answer", call: number, status: answer.status, body: answer.body });
      return answer as never;
    } catch (error) {
      recorder.write({ kind: "answer", call: number, status: 0, body: String(error) });
      throw error;
    }
  };
  return {
    ...client,
    call,
    async ok(method, path, body, headers) {
      const answer = await call(method, path, body, headers);
      if (answer.status >= 300)
        throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
      return answer.body as never;
    },
  };
}
