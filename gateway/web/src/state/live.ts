/** What is happening now: workspace, runs and transcripts as signals, fed by the socket and, where it is silent, by the API. */
import { batch, computed, effect, signal } from "@preact/signals";
import type { Run, ServerFrame, Waiting, Workspace } from "@berth/shared/resources";
import { ApiError, get, type Page } from "../api/api.ts";
import { createRunLogs } from "./run-logs.ts";
import { openSocket, type LiveSocket, type SocketState } from "./socket.ts";

export const connection = signal<SocketState>({ kind: "connecting" });
export const workspace = signal<Workspace | null>(null);
/** Every run that this page has heard of, by id. */
export const runs = signal<ReadonlyMap<string, Run>>(new Map());
/** The last thing the server refused on the socket (the workspace cannot start, …); null once it runs. */
export const refusal = signal<ApiError | null>(null);

export const activeRuns = computed(() =>
  [...runs.value.values()].filter((run) => run.endedAt === null && run.status !== "pending"),
);
/** Runs by agent, newest first. */
export const runsByAgent = computed(() => {
  const groups = Map.groupBy(runs.value.values(), ({ agentId }) => agentId);
  for (const group of groups.values()) group.sort(newestFirst);
  return groups;
});

/** Ids of runs that another one goes on with. */
export const continued = computed(
  () => new Set([...runs.value.values()].flatMap((run) => (run.continues === null ? [] : [run.continues]))),
);

let socket: LiveSocket | null = null;
let endLooking = () => {};
export const logs = createRunLogs(
  (runId, after) => socket?.send({ type: "subscribe", runId, after }),
  (runId) => runs.value.get(runId),
);

/** Starts to listen. */
export function startLive(): void {
  if (socket) return;
  socket = openSocket(take, (state) => (connection.value = state));
  endLooking = effect(lookWhilePending);
  void loadRuns("").catch(() => undefined);
}

/** Stops, and forgets everything: another user may sign in. */
export function stopLive(): void {
  socket?.close();
  socket = null;
  endLooking();
  logs.clear();
  batch(() => {
    workspace.value = null;
    runs.value = new Map();
    refusal.value = null;
  });
}

/** Loads a page of runs (a query without the `?`) into `runs`, and answers it. */
export async function loadRuns(query: string): Promise<Page<Run>> {
  const page = await get<Page<Run>>(`/v1/runs?limit=50${query && `&${query}`}`);
  noteRuns(page.items);
  return page;
}

/** What began or ended while no socket was open is told by the API alone: the latest runs are loaded where there is such a one. */
async function catchUp(inProgress: Run[]): Promise<void> {
  const ids = new Set(inProgress.map(({ id }) => id));
  const hasEnded = activeRuns.value.some(({ id }) => !ids.has(id));
  const [newest] = hasEnded ? [] : (await get<Page<Run>>("/v1/runs?limit=1")).items;
  if (hasEnded || (newest && !runs.value.has(newest.id))) await loadRuns("");
}

const pendingMs = 3000;
const isPending = ({ status }: Run) => status === "pending";
const hasPending = computed(() => [...runs.value.values()].some(isPending));

/** What waits is at the gateway, and the socket is the host's: it is asked for while there is any. */
function lookWhilePending(): (() => void) | undefined {
  if (!hasPending.value) return;
  let isOver = false;
  const look = async () => {
    await lookAtPending().catch(() => undefined);
    if (!isOver) timer = setTimeout(look, pendingMs);
  };
  let timer = setTimeout(look, pendingMs);
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

async function lookAtPending(): Promise<void> {
  if (document.hidden) return;
  const before = runs.value;
  const { items, nextCursor } = await get<Page<Run>>("/v1/runs?status=pending&limit=200");
  // What was changed or sent meanwhile is newer than the answer.
  noteRuns(items.filter(({ id }) => runs.value.get(id) === before.get(id)));
  const stillWait = new Set(items.map(({ id }) => id));
  // Of more than a page those that came before it are not looked at: the last go first.
  const since = (nextCursor !== null && items.at(-1)?.createdAt) || "";
  for (const { id, createdAt } of [...runs.value.values()].filter(isPending))
    if (!stillWait.has(id) && createdAt > since)
      await get<Run>(`/v1/runs/${id}`).then((run) => noteRuns([run]), dropMissing(id));
}

/** A run whose agent was deleted elsewhere. */
const dropMissing = (id: string) => (error: unknown) => {
  if (!(error instanceof ApiError) || error.code !== "not_found") throw error;
  runs.value = new Map([...runs.value].filter(([other]) => other !== id));
};

/** Takes over how the workspace is. One that is asleep, or just woke, was not looked at: on its disk is what was there last. */
export function noteWorkspace(next: Workspace): void {
  const last = workspace.value;
  const isKnown = next.sampledAt !== null || next.disk.usedBytes > 0 || last?.hostId !== next.hostId;
  workspace.value = isKnown ? next : { ...next, disk: { ...next.disk, usedBytes: last.disk.usedBytes } };
}

/**
 * Takes runs over. Answers and frames overtake each other: what is known to have begun or ended stays so; and what a run in progress asks
 * is as the socket told it last, where that is open (`isTold`), for an answer may be of before.
 */
export function noteRuns(items: Run[], isTold = false): void {
  const next = new Map(runs.value);
  for (const run of items) {
    const known = next.get(run.id);
    const stage = stageOf(known);
    if (stageOf(run) < stage) continue;
    const asksAsTold = !isTold && connection.value.kind === "open" && stage > 0 && stageOf(run) === stage;
    next.set(run.id, known && asksAsTold ? { ...run, waitingFor: known.waitingFor } : run);
  }
  runs.value = next;
  for (const run of items) logs.addRun(next.get(run.id)!);
}

const stageOf = (run?: Run) => (!run || run.status === "pending" ? 0 : run.endedAt ? 3 : run.startedAt ? 2 : 1);

export type Asked = Waiting & { requestId: string };

/** What the run asks its user; null where it asks nothing. */
export function askedOf({ waitingFor }: Run): Asked | null {
  return waitingFor && waitingFor.requestId !== null ? (waitingFor as Asked) : null;
}

export const newestFirst = (a: Run, b: Run) =>
  a.createdAt === b.createdAt ? (a.id < b.id ? 1 : -1) : a.createdAt < b.createdAt ? 1 : -1;

function take(frame: ServerFrame): void {
  switch (frame.type) {
    case "hello":
      return batch(() => {
        noteWorkspace(frame.workspace);
        if (frame.workspace.status === "running") refusal.value = null;
        noteRuns(frame.runs, true);
        logs.resume(frame.runs);
        void catchUp(frame.runs).catch(() => undefined);
      });
    case "workspace":
      noteWorkspace(frame.workspace);
      if (frame.workspace.status === "running") refusal.value = null;
      return;
    case "run":
      return noteRuns([frame.run], true);
    case "output":
      return logs.addLine(frame.runId, frame.offset, frame.data);
    case "error":
      if (frame.code === "not_found") logs.refused();
      else refusal.value = new ApiError(frame.code as ApiError["code"], frame.detail);
  }
}
