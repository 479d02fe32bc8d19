/**
 * An agent chooses no amount of our work: whatever an agent, a user or a stranger makes costs the loops that all share a
 * bounded amount a second. Each attempt goes at full force; the programs run inside mallory's container, for two minutes at most.
 */
import { Agent as HttpAgent, request } from "node:http";
import type { Area, Stage } from "./attempt.ts";
import { type Attack, beside, runs } from "./bystander.ts";

/** A program of Python as a line of shell. */
const python = (source: string) => `echo ${Buffer.from(source).toString("base64")} | base64 -d | timeout 120 python3 -`;
/** The same run by the CLI as its tool, so that its lines are read as the CLI's. */
const asTool = (source: string) => `demo: run ${python(source)}`;
const shell = (source: string) => `echo up; ${python(source)}`;

/** Appends to the run's own log what the agent likes. */
const toLog = `
import os, time
log = os.open("/run/berth-runs/" + os.environ["BERTH_RUN_ID"] + "/out", os.O_WRONLY | os.O_APPEND)
def put(data):
    while data: data = data[os.write(log, data):]
`;
const bigLines = `${toLog}
size = 16 * 2**20 - 100
line = b'{"a":[' + b"[]," * (size // 3) + b"[]]}\\n"
for _ in range(15): put(line)
time.sleep(100)`;
const richLines = `${toLog}
line = b'{"type":"system","subtype":"init","a":[' + b"[]," * 20000 + b"[]]}\\n"
for _ in range(3900): put(line)
time.sleep(100)`;
const emptyLines = `${toLog}
for _ in range(200):
    put(b"\\n" * 2**20)
    time.sleep(0.05)
time.sleep(100)`;
/** Readers of a run that take all there is, and readers that take nothing. */
async function withReaders(
  stage: Stage,
  begin: Promise<Attack & { runIds: string[] }>,
  takes: boolean,
): Promise<Attack> {
  const attack = await begin;
  const gone = new AbortController();
  const read = async (runId: string) => {
    const headers = { authorization: `Bearer ${stage.mallory.token}` };
    const answer = await fetch(`${stage.mallory.url}/v1/runs/${runId}/events`, { headers, signal: gone.signal });
    if (takes) for await (const chunk of answer.body!) void chunk;
  };
  const readers = Array.from({ length: 10 }, () => read(attack.runIds[0]!).catch(() => undefined));
  return {
    force: attack.force,
    async end() {
      gone.abort();
      await Promise.all(readers);
      await attack.end();
    },
  };
}

/** Calls that go on until the end, so many at once; what they are answered does not matter. */
function calls(stage: Stage, atOnce: number, path: string, headers: Record<string, string>, body: string): Attack {
  const agent = new HttpAgent({ keepAlive: true, maxSockets: atOnce });
  const over = new AbortController();
  let made = 0;
  const call = () =>
    new Promise<void>((resolve) => {
      const sent = request(`${stage.berth.url}${path}`, { method: "POST", agent, headers }, (answer) => {
        answer.resume().once("close", resolve);
      });
      sent.once("error", () => resolve());
      sent.end(body);
    });
  const callAgain = async () => {
    for (; !over.signal.aborted; made++) await call();
  };
  const ended = Array.from({ length: atOnce }, callAgain);
  return {
    force: async () => made,
    async end() {
      over.abort();
      agent.destroy();
      await Promise.all(ended);
    },
  };
}

const json = { "content-type": "application/json" };
const nested = `{"code":[${"{},".repeat(690_000)}{}]}`;

export const work: Area = {
  name: "work",
  settings: {},
  attempts: [
    beside("15 lines of 16 MiB of JSON", 200e6, (stage) => runs(stage, [asTool(bigLines)], "claude")),
    beside("lines of 16 MiB of JSON with ten readers", 200e6, (stage) =>
      withReaders(stage, runs(stage, [asTool(bigLines)], "claude"), true),
    ),
    beside("lines of 60 KB of JSON that the CLI might have said", 200e6, (stage) =>
      runs(stage, [asTool(richLines)], "claude"),
    ),
    beside("a million empty lines again and again, with ten readers", 1e6, (stage) =>
      withReaders(stage, runs(stage, [shell(emptyLines)]), true),
    ),
    beside("readers that never read", 1e6, (stage) => withReaders(stage, runs(stage, [shell(emptyLines)]), false)),
    beside("sign-in with two megabytes of JSON", 10, async (stage) => calls(stage, 6, "/session", json, nested)),
    beside("a new agent of two megabytes of JSON", 10, async (stage) =>
      calls(stage, 6, "/v1/agents", { ...json, authorization: `Bearer ${stage.mallory.token}` }, nested),
    ),
  ],
};
