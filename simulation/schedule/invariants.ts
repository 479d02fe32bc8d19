/** What must hold, and the mutant that each catches alone. Those that hold at every moment are watched where they happen. */
import { isEnded } from "@berth/shared/resources";
import type { LogFields } from "@berth/shared/log";
import { isCaused } from "../sides/host.ts";
import type { Container } from "../machine/shapes.ts";
import { admittedMs, allRuns, isWaiting, noteAdmission, runOf } from "../machine/evidence.ts";
import { containersOf, type Scene } from "./scene.ts";

/** A line of the host agent's log, at the moment it is written. */
export function noticeLog(scene: Scene, event: string, fields: LogFields): void {
  const what = event === "run.ended" ? `run.ended ${String(fields["reason"])}` : event;
  scene.seen.set(what, (scene.seen.get(what) ?? 0) + 1);
  const user = String(fields["userId"]);
  if (event === "run.accepted") noteAdmission(String(fields["runId"]), keptByEnded(scene, user));
  // What could not be freed is tried again with the next end.
  // The same of an order that could not.
  if (event === "order.failed") for (const one of scene.machine.containers.all.values()) one.kept.clear();
  if (event === "run.memory_kept") for (const { kept } of containersOf(scene, user)) kept.clear();
  if (event === "run.ended") {
    const disk = scene.machine.files.find(`/data/mnt/${user}`)?.on;
    const isBad = scene.machine.files.isBad(`/data/mnt/${user}/runs/${String(fields["runId"])}/end`);
    if (disk?.hasFailed || disk?.isFull || isBad) scene.unnoted.add(String(fields["runId"]));
    judgeEnd(scene, fields as unknown as EndedLine);
    judgeCause(scene, fields as unknown as EndedLine);
  }
  if (event === "request.failed" && !isCaused(fields["error"]))
    scene.world.violate("no call is answered by a defect", String(fields["error"]));
}

const keptByEnded = (scene: Scene, user: string) => {
  const hasEnded = scene.machine.database.prepare("select 1 from runs where id = ? and ended_at is not null");
  const kept = containersOf(scene, user).flatMap(({ kept }) => [...kept.values()]);
  return kept.filter(({ runId }) => hasEnded.get(runId) !== undefined);
};

interface EndedLine {
  runId: string;
  userId: string;
  reason: string;
  exitCode: number | null;
}
export interface RunRow {
  id: string;
  agent_id: string;
  user_id: string;
  rev: number;
  status: string;
  reason: string | null;
  exit_code: number | null;
  container_id: string | null;
  started_at: string | null;
  ended_at: string | null;
  intent: string | null;
  oom_kills: number;
}

/** No host here gives a run less time. */
const shortestTimeoutMs = 60_000;

/** At the very moment an end is told. */
function judgeEnd({ world, machine }: Scene, { runId, userId, reason }: EndedLine): void {
  const since = admittedMs(runId);
  const isOfBefore = ({ startedMs, options }: Container) =>
    options.Labels["berth.user"] === userId && since !== null && startedMs < since;
  const all = [...machine.containers.all.values()];
  const row = machine.database.prepare("select container_id as id from runs where id = ?").get(runId) as { id: string };
  const ownId = runOf(runId)?.execs.at(-1)?.container.id ?? row.id;
  const mayBeOwn = all.filter((one) => (ownId === null ? isOfBefore(one) : one.id === ownId));
  const lives = mayBeOwn.some(({ isRunning }) => isRunning);
  if (reason === "container_lost" && lives)
    world.violate("what is told is what the evidence says", `${runId} lost its container, and the container lives`);
  if (reason === "timed_out" && since !== null && world.nowMs - since < shortestTimeoutMs)
    world.violate(
      "what is told is what the evidence says",
      `${runId} timed out ${world.nowMs - since} ms after it was taken`,
    );
  const left = machine.kernel.ofRun(runId);
  if (left.length > 0)
    world.violate(
      "an ended run has no process",
      `${runId} ended as ${reason}, and ${left.length} processes of it live`,
    );
}

/** What was not the run's own doing has its cause; nothing of it calls a model. */
function judgeCause({ world, machine, host, clients }: Scene, { runId, userId, reason }: EndedLine): void {
  const tell = (what: string) =>
    world.violate("what is told is what the evidence says", `${runId} (${reason}): ${what}`);
  const known = runOf(runId);
  const at = `/data/mnt/${userId}`;
  const said = ["out", "err"].map((name) => machine.files.find(`${at}/runs/${runId}/${name}`));
  // What went with the power, or with its agent, may have been much.
  const bytes = said.some((file) => !file || file.isCut) ? Infinity : said.reduce((sum, file) => sum + file!.size, 0);
  const row = machine.database.prepare("select agent_id, continues from runs where id = ?").get(runId) as {
    agent_id: string;
    continues: string | null;
  };
  if (reason === "budget_reached" && known?.traces.some((trace) => trace && trace.size > 1)) tell("it had begun");
  if (reason === "disk_full" && !machine.files.find(at)?.on.wasFull) tell("its disk was never full");
  if (reason === "log_limit" && bytes < host.logBytes) tell("it did not say so much");
  if (reason === "start_timeout" && world.nowMs - (admittedMs(runId) ?? 0) < shortestTimeoutMs)
    tell("it had more time");
  const isAsked = [runId, row.continues, row.agent_id, userId].some((asked) => asked && clients.ended?.has(asked));
  if (reason === "cancelled" && clients.ended && !isAsked) tell("nobody asked for it");
}

/** When all is quiet. */
export function judge(scene: Scene, isOver: boolean): void {
  const { world, machine, clients } = scene;
  const runs = machine.database.prepare("select * from runs").all() as RunRow[];
  const byId = new Map(runs.map((run) => [run.id, run]));
  for (const run of runs)
    if (run.ended_at === null) world.violate("every admitted run ends", `${run.id} is ${run.status}`);
  for (const run of runs) if (run.ended_at !== null) judgeRun(scene, run);
  for (const { runId, promisedMs } of clients.wanted)
    if (promisedMs !== null && !byId.has(runId))
      world.violate("every admitted run ends", `${runId} was promised and is forgotten`);
  for (const { runId } of allRuns())
    if (machine.kernel.ofRun(runId).length > 0 && byId.get(runId)?.ended_at !== null)
      world.violate(
        "an ended run has no process",
        `${runId} has processes, and is ${byId.get(runId)?.status ?? "unknown"}`,
      );
  for (const runId of leftWaiting(scene))
    world.violate("an ended run has no process", `${runId} waits for a message to an agent that was deleted`);
  judgeWords(scene);
  for (const difference of differencesOf(scene)) world.violate("the gateway's copy is the host's truth", difference);
  if (!isOver && isCopyTrue(scene) && world.violations.length === 0)
    world.violate("every admitted run ends", "calls are still waiting");
}

/** Processes that wait for a message to an agent of whose deletion the host has heard: an older copy of its database knows less than was told. */
export function leftWaiting({ machine }: Scene): string[] {
  const deleted = machine.database.prepare("select id from agents where deleted").all() as { id: string }[];
  return [...machine.kernel.processes.values()].flatMap(({ runId, environment }) =>
    runId !== null && isWaiting(runId) && deleted.some(({ id }) => environment.includes(`BERTH_AGENT_ID=${id}`))
      ? [runId]
      : [],
  );
}

/** A word that was accepted is in its run's input, and none is there twice. */
function judgeWords({ world, machine, clients }: Scene): void {
  for (const [messageId, { runId, userId }] of clients.said) {
    const input = machine.files.find(`/data/mnt/${userId}/runs/${runId}/in`);
    const times = input && !input.isCut ? machine.files.read(input).toString().split(messageId).length - 1 : 1;
    if (times !== 1) world.violate("a word is told once", `${messageId} was told ${runId} ${times} times`);
  }
}

const byIntent = new Set(["cancelled", "timed_out", "log_limit", "budget_reached", "start_timeout", "host_lost"]);

/** What is told of a run is what its files, the engine and the kernel say of it. */
export function judgeRun({ world, machine }: Pick<Scene, "world" | "machine">, run: RunRow): void {
  const { id, reason, exit_code: told, status } = run;
  const known = runOf(id);
  const found = machine.files.find(`/data/mnt/${run.user_id}/runs/${id}/exit`);
  // Of what went with the power, or lies where nobody can read it, nothing is evidence.
  const isBad = machine.files.isBad(`/data/mnt/${run.user_id}/runs/${id}/exit`);
  const exit = found?.isCut || isBad ? null : found;
  const written = exit ? /^(\d{1,3})\n/m.exec(machine.files.read(exit).toString())?.[1] : undefined;
  const code = written === undefined ? null : Number(written);
  const tell = (what: string) =>
    world.violate(
      "what is told is what the evidence says",
      `${id} (${status}, ${reason}, ${told}; exit file ${code}): ${what}`,
    );
  const isLate = reason === "start_timeout" || reason === "timed_out";
  if (isLate && run.started_at !== null && !known) return tell("it was never told its message");
  if (told !== null && told !== 126 && told !== code && exit) return tell("its exit code is another");
  // An older copy of the database does not know the intent that was acted on, and takes the end that was noted then.
  const end = machine.files.find(`/data/mnt/${run.user_id}/runs/${id}/end`);
  const wasNoted = byIntent.has(reason!) && end && machine.files.read(end).includes(`"reason":"${reason}"`);
  if (run.intent !== null || wasNoted) return;
  if (status === "completed" && code !== 0 && exit) return tell("it completed and did not say 0");
  if (reason === "container_lost" && code !== null && code < 128)
    return tell("it ended by itself before its container");
  const endedItself = reason === "completed" || (reason === "nonzero_exit" && told === null);
  if (endedItself && !known && !isBad) return tell("it was never started");
  if (reason === "out_of_memory" && !known?.oomKills) return tell("the kernel killed nothing of it");
  const isKilled = known !== null && known.oomKills > 0 && code === 137 && machine.kernel.boot === 1;
  if (isKilled && reason === "nonzero_exit") return tell("the kernel killed it");
  if (code !== null && told === null && exit) return tell("its exit code is there and not told");
  if (reason === "nonzero_exit" && told === null && known?.ended?.cause === "container")
    return tell("its container was lost");
}

/** What of the gateway's copy differs from the host's truth. */
function differencesOf({ gateway, machine, unnoted }: Scene): string[] {
  const runs = machine.database.prepare("select * from runs").all() as RunRow[];
  const known = new Set(runs.map(({ id }) => id));
  const differing = runs.flatMap((run) => {
    const copy = gateway.runs.get(run.id);
    // What was told as lost stays so, should the database that was lost be put back.
    if (copy?.reason === "host_lost") return [];
    if (copy?.status === run.status && copy.reason === run.reason && copy.exitCode === run.exit_code) return [];
    // A power cut may take the note of an end, and a disk that failed takes none; an older copy of the database knows neither: what was
    // told first stays there.
    const note = machine.files.find(`/data/mnt/${run.user_id}/runs/${run.id}/end`);
    const isNoted = note && machine.files.read(note).toString().includes(`"reason":"${copy?.reason}"`);
    const mayLack = machine.kernel.boot !== 1 || unnoted.has(run.id);
    if (mayLack && !isNoted && copy && isEnded(copy.status) && run.ended_at !== null) return [];
    return `${run.id} is ${run.status} (${run.reason}), there ${copy ? `${copy.status} (${copy.reason})` : "unknown"}`;
  });
  const forgotten = [...gateway.runs.values()].filter(({ id, status }) => !known.has(id) && !isEnded(status));
  return [...differing, ...forgotten.map(({ id, status }) => `${id} is ${status} there, and forgotten here`)];
}

export const isCopyTrue = (scene: Scene) => differencesOf(scene).length === 0;
