/**
 * Kills at random steps of a message's way (posted, queued, started ahead, handed to its CLI, running, settling): of the host agent,
 * the gateway, the CLI and the container, with people who send on meanwhile. Afterwards each message that was accepted is in its
 * conversation once, was answered or has an end that says which kill it met, and is one run. `KILLS` says how many, 30 if nothing does.
 */
import type { Run } from "@berth/shared/resources";
import { createLocks } from "../host-agent/src/context/wait.ts";
import { createRandom, pause } from "../e2e/faults/random.ts";
import type { Client } from "../e2e/harness/client.ts";
import { type Daemon, engine, startBerth, userIdOf } from "../e2e/harness/harness.ts";
import { startModel } from "../e2e/harness/model-endpoint.ts";
import { printFigures } from "./lib/figures.ts";

const wanted = Number(process.env["KILLS"] ?? 30);
const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e6));
const random = createRandom(seed);
const patienceMs = 180_000;

const steps = ["posted", "accepted", "asked", "answered", "ended"] as const;
type Step = (typeof steps)[number];
type Target = "host agent" | "gateway" | "CLI" | "container";

interface Person {
  client: Client;
  userId: string;
  agentId: string;
  /** Whether a turn is taken up where its container was lost. */
  goesOn: boolean;
}
interface Message {
  person: Person;
  word: string;
  text: string;
  reached: Record<Step, PromiseWithResolvers<void>>;
  at: Step | "unsent";
  /** Its turn was taken up after a kill: a tool may have been used twice. */
  mayRepeat: boolean;
  /** In how many places of one request to the model it was said by its user, at most. */
  said: number;
}

const messages = new Map<string, Message>();
/** One after the other what is killed twice. */
const locked = createLocks();
const model = await startModel(({ told }) => {
  const { texts, results } = readConversation(told);
  const text = texts.findLast((one) => messages.has(one));
  if (!text) return { blocks: [{ type: "text", text: "A title." }] };
  for (const one of new Set(texts)) {
    const known = messages.get(one);
    if (known) known.said = Math.max(known.said, texts.filter((other) => other === one).length);
  }
  const message = messages.get(text)!;
  const isDone = results.includes(`did-1-${message.word}.`);
  reach(message, isDone ? "answered" : "asked");
  if (isDone) return { blocks: [{ type: "text", text: `Had ${message.word}.` }] };
  const command = `echo ${message.word} >>words; echo did-$((1))-${message.word}.`;
  const input = { command, description: "notes the word" };
  return { blocks: [{ type: "tool_use", id: `toolu_${crypto.randomUUID()}`, name: "Bash", input }] };
});
const berth = await startBerth({
  BERTH_MODEL_URL: model.url,
  ANTHROPIC_API_KEY: "sk-upstream",
  BERTH_AHEAD: "1",
  BERTH_IDLE_SECONDS: "600",
});
const kills: Record<Target, number> = { "host agent": 0, gateway: 0, CLI: 0, container: 0 };
const metAt: Partial<Record<Step | "unsent", number>> = {};
const told = { messages: 0, lost: 0, doubled: 0, wrongEnds: 0, excused: 0, repeated: 0, wrong: [] as string[] };
const count = () => Object.values(kills).reduce((sum, each) => sum + each, 0);
try {
  process.stderr.write(`seed ${seed}\n`);
  const people = await Promise.all([0, 1, 2].map((at) => makePerson(`user${at}`, at !== 0)));
  const asked = new AbortController();
  process.once("SIGTERM", () => asked.abort());
  for (let round = 0; count() < wanted && !asked.signal.aborted; round++) {
    await playRound(people, round);
    process.stderr.write(`${count()} kills, ${told.messages} messages, ${told.wrong.length} wrong\n`);
  }
  for (const person of people) await judgeWords(person);
  printFigures([
    ...Object.entries(kills).map(([name, ours]) => ({ name: `kills of the ${name}`, ours, unit: "" })),
    ...[...steps, "unsent" as const].map((step) => ({
      name: `messages that were ${step} at a kill`,
      ours: metAt[step] ?? 0,
      unit: "",
    })),
    { name: "messages that were accepted", ours: told.messages, unit: "" },
    { name: "of them lost", ours: told.lost, unit: "", target: { bound: 0 } },
    { name: "of them doubled", ours: told.doubled, unit: "", target: { bound: 0 } },
    { name: "ends that no kill explains, or none", ours: told.wrongEnds, unit: "", target: { bound: 0 } },
    { name: "ends that tell of the kill they met", ours: told.excused, unit: "" },
    { name: "tool calls that were done again by a run that goes on", ours: told.repeated, unit: "" },
  ]);
  for (const sentence of told.wrong) process.stdout.write(`  ${sentence}\n`);
} finally {
  await berth.close();
  await model.close();
}

async function makePerson(name: string, goesOn: boolean): Promise<Person> {
  const client = await berth.client(name);
  const more = { onInterruption: goesOn ? "continue" : "stop" };
  const { id: agentId } = await client.createAgent(name, more);
  return { client, userId: await userIdOf(client), agentId, goesOn };
}

/** Everybody sends a message, some a second one behind it, and a few things are killed on their way. */
async function playRound(people: Person[], round: number): Promise<void> {
  const met: Record<string, Target[]> = Object.fromEntries(people.map(({ userId }) => [userId, []]));
  const sent = people.flatMap((person, at) =>
    Array.from({ length: random.isTrue(0.3) ? 2 : 1 }, (_, nth) => newMessage(person, `r${round}u${at}n${nth}`)),
  );
  const over = Promise.withResolvers<void>();
  const times = (most: number, kill: () => Kill) => Array.from({ length: random.whole(0, most) }, kill);
  const plan = [
    ...times(4, () => killDaemon("host agent", berth.host)),
    ...times(4, () => killDaemon("gateway", berth.gateway)),
    // A turn is taken up twice.
    ...people.flatMap((person) => times(2, () => killIn(random.pick(["CLI", "container"] as const), person))),
  ];
  const done = plan.map(async ({ of, act }) => {
    const message = random.pick(sent.filter(({ person }) => of.target === null || person === of.target));
    const step = random.pick(steps);
    const afterMs = random.whole(0, step === "ended" ? 1500 : 250);
    await Promise.race([message.reached[step].promise, over.promise]);
    await pause(afterMs);
    // From here on whatever it meets may tell of it.
    for (const userId of of.target ? [of.target.userId] : []) met[userId]!.push(of.kind);
    if (!(await locked(`${of.kind} ${of.target?.userId}`, act))) return;
    kills[of.kind]++;
    for (const { person, at } of sent) if (!of.target || person === of.target) metAt[at] = (metAt[at] ?? 0) + 1;
  });
  await pause(random.pick([0, 0, 2500]));
  await Promise.all(sent.map((message) => follow(message, met)));
  over.resolve();
  await Promise.all(done);
}

function newMessage(person: Person, word: string): Message {
  const reached = Object.fromEntries(steps.map((step) => [step, Promise.withResolvers<void>()])) as Message["reached"];
  const message: Message = {
    person,
    word,
    text: `Note the word ${word}.`,
    reached,
    at: "unsent",
    mayRepeat: false,
    said: 0,
  };
  messages.set(message.text, message);
  return message;
}

function reach(message: Message, step: Step): void {
  if (message.at === "unsent" || steps.indexOf(step) > steps.indexOf(message.at)) message.at = step;
  message.reached[step].resolve();
}

interface Kill {
  of: { kind: Target; target: Person | null };
  /** False where there was nothing to kill. */
  act(): Promise<boolean>;
}

function killDaemon(kind: Target, daemon: Daemon): Kill {
  return {
    of: { kind, target: null },
    async act() {
      await daemon.kill();
      await pause(random.whole(0, 300));
      await daemon.start();
      return true;
    },
  };
}

function killIn(kind: "CLI" | "container", target: Person): Kill {
  return {
    of: { kind, target },
    async act() {
      if (kind === "CLI") {
        const found = await berth.processes(target.userId);
        const pids = found.filter(({ command }) => command.includes("/claude --print")).map(({ pid }) => pid);
        return pids.map(killProcess).some(Boolean);
      }
      const mine = (await berth.containers()).filter(({ Labels }) => Labels["berth.user"] === target.userId);
      const removed = mine.map(({ Id }) => engine.getContainer(Id).remove({ force: true }));
      return (await Promise.allSettled(removed)).some(({ status }) => status === "fulfilled");
    },
  };
}

function killProcess(pid: number): boolean {
  try {
    return process.kill(pid, "SIGKILL");
  } catch {
    return false;
  }
}

/** Sends the message like a patient program, and judges what became of it. */
async function follow(message: Message, met: Record<string, Target[]>): Promise<void> {
  const { client, userId, agentId } = message.person;
  const key = `kills-${message.word}`;
  const send = () =>
    patiently(() =>
      client.ok<Run>(
        "POST",
        `/v1/agents/${agentId}/runs`,
        { prompt: message.text, ifBusy: "queue" },
        { "idempotency-key": key },
      ),
    );
  reach(message, "posted");
  const run = await send();
  reach(message, "accepted");
  told.messages++;
  const end = await Promise.race([endOf(message.person, run.id), pause(patienceMs).then(() => null)]);
  reach(message, "ended");
  if ((await send()).id !== run.id) wrong("doubled", message, "is two runs of one key");
  if (message.said > 1) wrong("doubled", message, `stands ${message.said} times in its conversation`);
  message.mayRepeat = message.person.goesOn && met[userId]!.includes("container");
  if (end === null) return wrong("wrongEnds", message, `${run.id} has no end after ${patienceMs / 1000} s`);
  if (end.status === "completed") {
    if (message.said === 0) wrong("lost", message, `${end.id} is completed, and no model was asked`);
    else if (end.result !== `Had ${message.word}.`)
      wrong("wrongEnds", message, `${end.id} has the result ${end.result}`);
    return;
  }
  const { reason, exitCode, result } = end;
  const hasMet = (kind: Target) => met[userId]!.includes(kind);
  const isTold =
    (hasMet("CLI") && reason === "nonzero_exit" && exitCode === 137) ||
    // A turn that is over is not taken up: its answer is there.
    (hasMet("container") &&
      reason === "container_lost" &&
      (!message.person.goesOn || result === `Had ${message.word}.`));
  if (isTold) told.excused++;
  else wrong("wrongEnds", message, `${end.id} ended as ${reason}, exit code ${exitCode}, ${end.stderrTail}`);
}

/** The end of the run, or of the last that goes on with it. */
async function endOf(person: Person, runId: string): Promise<Run> {
  const { client, agentId, goesOn } = person;
  const { run } = await client.finish(runId);
  const isLost = run.reason === "container_lost";
  // Its host tells of both, but while the gateway is killed not with one report.
  for (let tries = isLost && goesOn ? 100 : 0; tries > 0; tries--) {
    const list = () => client.ok<{ items: Run[] }>("GET", `/v1/runs?agentId=${agentId}&limit=20`);
    const next = (await patiently(list)).items.find(({ continues }) => continues === runId);
    if (next) return endOf(person, next.id);
    await pause(200);
  }
  return run;
}

/** Tries again while what it asks is being killed. */
async function patiently<T>(job: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await job();
    } catch (error) {
      if (performance.now() > deadline || / answered 4(?!29)\d\d/.test(String(error))) throw error;
      await pause(100);
    }
  }
}

/** What each message's tool left: twice alone where its turn was taken up. */
async function judgeWords({ client, agentId }: Person): Promise<void> {
  const { body } = await client.call<string>("GET", `/v1/agents/${agentId}/files/words`);
  const words = body.trim().split("\n");
  const isOf = (message: Message) => message.person.agentId === agentId;
  for (const message of [...messages.values()].filter(isOf)) {
    const times = words.filter((word) => word === message.word).length;
    if (times > 1 && !message.mayRepeat) wrong("doubled", message, `was done ${times} times`);
    else if (times > 1) told.repeated += times - 1;
  }
}

function wrong(kind: "lost" | "doubled" | "wrongEnds", { word }: Message, what: string): void {
  told[kind]++;
  told.wrong.push(`${word} ${what}`);
  process.stderr.write(`${word} ${what}\n`);
}

/** What users said in a request to the model, and what tools answered. */
function readConversation(said: string): { texts: string[]; results: string } {
  interface Block {
    type: string;
    text?: string;
    content?: unknown;
  }
  const [, all] = JSON.parse(said) as [unknown, { role: string; content: string | Block[] }[]];
  const blocks = all
    .filter(({ role }) => role === "user")
    .flatMap(({ content }): Block[] => (typeof content === "string" ? [{ type: "text", text: content }] : content));
  return {
    texts: blocks.flatMap(({ type, text }) => (type === "text" && text !== undefined ? [text.trim()] : [])),
    results: JSON.stringify(blocks.filter(({ type }) => type === "tool_result")),
  };
}
