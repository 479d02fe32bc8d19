/** A user whose machine goes and comes back: what they left there, and that all of it is there again. */
import { expect } from "vitest";
import type { Run } from "@berth/shared/resources";
import { until } from "../../gateway/test/wait.ts";
import { type Client, textOf } from "./client.ts";

export interface Kept {
  /** Starts a run that goes on for ever; answers its id once it speaks. */
  beginEndless(): Promise<string>;
  /** As a patient user finds it, who repeats what is not answered: files, ended runs and their output; what ran has ended as lost. */
  isThere(lostRunId?: string): Promise<void>;
}

/** An agent with a file, made by a run that ended. */
export async function leaveSomething(user: Client): Promise<Kept> {
  const agent = await user.createAgent("shell", { runtime: "shell" });
  const { run: ended } = await user.runToEnd(agent.id, "echo kept > note; echo said");
  const say = async (prompt: string) => {
    const run = await until(async () => {
      const answer = await user.call<Run>("POST", `/v1/agents/${agent.id}/runs`, { prompt }).catch(() => null);
      return answer?.status === 202 ? answer.body : null;
    }, "a message starts a run");
    return (await user.finish(run.id)).run.result;
  };
  return {
    async beginEndless() {
      const { id } = await user.send(agent.id, "for ((i = 1; ; i++)); do echo $i; sleep 0.01; done");
      await user.firstLine(id);
      return id;
    },
    async isThere(lostRunId) {
      expect(await say("cat note")).toBe("kept\n");
      expect(await user.finish(ended.id)).toEqual({ lines: [expect.stringContaining("said")], run: ended });
      if (lostRunId === undefined) return;
      const { run, lines } = await user.finish(lostRunId);
      expect(run).toMatchObject({ status: "failed", reason: "container_lost" });
      expect(lines.map(textOf)).toEqual(lines.map((_, at) => String(at + 1)));
    },
  };
}
