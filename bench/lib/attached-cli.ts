/** The CLI in a workspace beside Berth: by an attached exec, with the place, the environment and the token of a run that does nothing. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { until } from "../../gateway/test/wait.ts";
import type { Client } from "../../e2e/harness/client.ts";
import { type Berth, engine, userIdOf } from "../../e2e/harness/harness.ts";

const always = ["--print", "--verbose", "--output-format", "stream-json", "--include-partial-messages"];

/** Starts that run; what it answers opens a CLI, in a conversation of its own, each time. */
export async function attachBeside(berth: Berth, client: Client) {
  const agent = await client.createAgent("bare", { runtime: "shell" });
  await client.send(agent.id, "exec sleep 86400");
  const userId = await userIdOf(client);
  const sleeper = await until(
    async () => (await berth.processes(userId)).find(({ command }) => command.startsWith("sleep 86400")),
    "it runs",
  );
  const env = readFileSync(`/proc/${sleeper.pid}/environ`, "utf8").split("\0").filter(Boolean);
  const { containerId } = await client.workspace();
  return async (...args: string[]) => {
    const exec = await engine.getContainer(containerId!).exec({
      Cmd: ["claude", ...always, ...args, "--session-id", crypto.randomUUID()],
      Env: env,
      User: `${sleeper.uid}:${sleeper.gid}`,
      WorkingDir: `/workspace/agent-${agent.id}`,
      AttachStdin: true,
      AttachStdout: true,
    });
    const stream = await exec.start({ hijack: true, stdin: true });
    let said = "";
    stream.on("data", (bytes: Buffer) => (said += bytes.toString("latin1")));
    const ended = new Promise<void>((resolve) => stream.once("end", resolve));
    return {
      tell: (line: object) => void stream.write(`${JSON.stringify(line)}\n`),
      end: () => void stream.end(),
      ended,
      /** Resolves as soon as it has said that; rejects where it ends before. */
      async says(words: string): Promise<void> {
        while (!said.includes(words)) {
          if (stream.readableEnded) throw new Error(`the CLI ended without ${words}: ${said.slice(-500)}`);
          await Promise.race([once(stream, "data"), ended]);
        }
      },
      match: (pattern: RegExp) => pattern.exec(said)?.[1],
    };
  };
}
