/**
 * Started ahead: the CLI of the agent that a user used last waits for its next message with its start behind it, where memory is to
 * spare. It is no run: a directory, an exec and a token that is worth nothing, until a message claims them. At most one a user; whatever
 * changes of what it was started from ends it. It is known in memory alone: the next host agent ends what is left of it as it takes up
 * the container, and its files go with retention.
 */
import { createHash } from "node:crypto";
import { renameSync } from "node:fs";
import { randomText, uuidOf } from "@berth/shared/ids";
import { messageOf } from "@berth/shared/log";
import { sleep } from "@berth/shared/wait";
import type { HostContext } from "../context/context.ts";
import { createLocks } from "../context/wait.ts";
import { readFreeBytes } from "../machine/cgroup.ts";
import type { Engine } from "../machine/engine.ts";
import { agentScore } from "../machine/memory-rank.ts";
import { endProcesses, isEnding, isWithout, lookSeldom, processesOf, setOomScore } from "../machine/processes.ts";
import type { AgentRow, RunRow } from "../store/rows.ts";
import type { Store } from "../store/store.ts";
import { inRunOf } from "../store/uids.ts";
import { isReady, type RunningContainer } from "../workspace/container.ts";
import { runtimes } from "../runtimes/runtimes.ts";
import { makeAgentDirectory } from "../workspace/volume.ts";
import type { Workspaces } from "../workspace/workspaces.ts";
import { nextOfAhead } from "./decide.ts";
import { execOf, filesOf } from "./launch.ts";
import {
  emptyOut,
  logSizes,
  makeRunFiles,
  newAheadName,
  noteBegun,
  onVolume,
  readBeginning,
  readExit,
  removeRunFiles,
  runDirectory,
} from "./run-files.ts";
import { tell, wasTold } from "./run-input.ts";

export interface AheadDeps {
  context: HostContext;
  engine: Engine;
  store: Store;
  workspaces: Workspaces;
  /** Resolves once nothing is kept in memory that an ended run of the user left: none can be freed while a process of its agent lives. */
  freed(userId: string): Promise<void>;
}
interface Waiting {
  /** Its directory among those of runs. */
  id: string;
  agentId: string;
  uid: number;
  container: RunningContainer;
  execId: string;
  token: string;
  shape: string;
  /** Whether it waits for its message now; false once it never will. */
  isReady: Promise<boolean>;
  hasFailed: boolean;
  isEnding: boolean;
  /** The engine was asked to start it, and has not said that it did. */
  mayCome: boolean;
}

const warmUpMs = 30_000;
/** A message waits so long for one that is on its way, and then for its first word. */
const [readyMs, firstWordMs] = [10_000, 60_000];
/** A CLI that was told its message answers in less before it takes it. */
const firstWordBytes = 65_536;
const endedMs = 10_000;
const lookMs = 10;
/** What only a person's message may be told to. */
const plain = {
  trigger: { kind: "api" as const, triggerId: null },
  attachments: [] as string[],
  messageId: "",
  continues: null,
  payloadFile: null,
};

export class Ahead {
  readonly #deps: AheadDeps;
  readonly #waiting = new Map<string, Waiting>();
  /** By user: the agent whose conversation was opened last, until that is looked at. */
  readonly #opened = new Map<string, AgentRow>();
  readonly #locked = createLocks();

  constructor(deps: AheadDeps) {
    this.#deps = deps;
  }

  /** This agent is the one that its user used last. Never throws: a message finds a CLI that waits, or starts one. */
  begin({ id: agentId, userId }: Pick<AgentRow, "id" | "userId">): Promise<void> {
    return this.#attempt(userId, () => this.#look(userId, agentId));
  }

  /** The same of one whose user has its conversation before them: the workspace is started too. Coalesced: of many the last counts. */
  async open(agent: AgentRow): Promise<void> {
    const { userId } = agent;
    if (!this.#canWait(agent)) return;
    const isDue = !this.#opened.has(userId);
    this.#opened.set(userId, agent);
    if (!isDue) return;
    await this.#attempt(userId, async () => void (await this.#deps.workspaces.ensureReady(userId)));
    const last = this.#opened.get(userId)!;
    this.#opened.delete(userId);
    await this.begin(last);
  }

  /** Looks at all that wait: what is outdated is started anew, and who is in the way goes. */
  async check(): Promise<void> {
    const idle = [...this.#waiting.keys()].filter((userId) => !this.#locked.isHeld(userId));
    await Promise.all(idle.map((userId) => this.#attempt(userId, () => this.#look(userId))));
  }

  /** Ends what waits for the user's next message; false where nothing does. */
  drop(userId: string): Promise<boolean> {
    return this.#locked(userId, () => this.#end(userId));
  }

  /**
   * Makes what waits the run's own, in one transaction that binds its directory, exec and token; false where nothing waits that is
   * as it would be started now. Then `tell` comes, now or after a crash.
   */
  claim(run: RunRow, agent: AgentRow, container: RunningContainer): Promise<boolean> {
    return this.#locked(run.userId, async () => {
      const waiting = this.#waiting.get(run.userId);
      if (waiting?.agentId !== agent.id) return false;
      try {
        if (await this.#fits(waiting, run, agent, container)) {
          const { volume } = container;
          renameSync(runDirectory(volume, waiting.id), runDirectory(volume, run.id));
          this.#deps.store.updateRun(run.id, {
            execId: waiting.execId,
            containerId: container.id,
            token: waiting.token,
          });
          this.#waiting.delete(run.userId);
          this.#deps.context.log.info("ahead.claimed", { runId: run.id, userId: run.userId });
          return true;
        }
      } catch (error) {
        this.#deps.context.log.warn("ahead.not_claimed", { runId: run.id, error: messageOf(error) });
      }
      await this.#end(run.userId);
      return false;
    });
  }

  /**
   * Tells a claimed run its message, once, and waits for its first word. `gone`: it went without any, so that nobody has read the
   * message, and the run is to be started as if nothing had waited.
   */
  async tell(run: RunRow, agent: AgentRow, container: RunningContainer): Promise<"told" | "gone"> {
    const { store } = this.#deps;
    const { volume } = container;
    if (run.startedAt !== null || run.intent || !readExit(volume, run.id).isAhead) return "told";
    const input = runtimes[agent.runtime].input!;
    const messageId = await uuidOf(run.id);
    await store.synced();
    if (!wasTold(volume, run.id, messageId)) {
      for (const pid of processesOf(container.cgroup, inRunOf(agent.uid))) setOomScore(pid, agentScore);
      const message = input.message(messageId, store.promptOf(run.id));
      await onVolume(async () => {
        // An earlier process may have come as far as the midst of any of it.
        if (!readExit(volume, run.id).hasBegun) noteBegun(volume, run.id);
        const variables = input.setVariables({ BERTH_RUN_ID: run.id });
        await tell(volume, run.id, variables, { once: variables });
        await tell(volume, run.id, message, { once: messageId });
      });
    }
    if (await this.#hasAnswered(run, agent, container)) return "told";
    await endProcesses(container.cgroup, inRunOf(agent.uid), 0);
    const aside = newAheadName();
    renameSync(runDirectory(volume, run.id), runDirectory(volume, aside));
    store.updateRun(run.id, { execId: null, containerId: null });
    await removeRunFiles(volume, aside);
    return "gone";
  }

  async #hasAnswered({ id: runId }: RunRow, agent: AgentRow, container: RunningContainer): Promise<boolean> {
    const { volume, cgroup, init } = container;
    const { hasTaken } = runtimes[agent.runtime].input!;
    const deadline = performance.now() + firstWordMs;
    const hasProcesses = lookSeldom(() => !isWithout(cgroup, inRunOf(agent.uid)));
    for (;;) {
      const isOver = readExit(volume, runId).code !== null || !hasProcesses();
      // The agent can write lines of its own; so many are no answer to what it was told.
      if (logSizes(volume, runId).out > firstWordBytes) return true;
      if (hasTaken(readBeginning(volume, runId))) return true;
      if (isOver && !isEnding(init)) return false;
      if (isOver || this.#deps.store.getRun(runId)!.intent || performance.now() > deadline) return true;
      await sleep(lookMs);
    }
  }

  async #fits(waiting: Waiting, run: RunRow, agent: AgentRow, container: RunningContainer): Promise<boolean> {
    const { prompt, payload } = this.#deps.store.inputOf(run.id)!;
    const isPlain = run.trigger.kind === plain.trigger.kind && run.attachments.length === 0 && payload === null;
    if (!isPlain || runtimes[agent.runtime].input!.isSpecial(prompt)) return false;
    if (waiting.shape !== this.#shapeOf(agent, container)) return false;
    return Promise.race([waiting.isReady, sleep(readyMs).then(() => false)]);
  }

  async #attempt(userId: string, job: () => Promise<void>): Promise<void> {
    try {
      await this.#locked(userId, job);
    } catch (error) {
      this.#deps.context.log.warn("ahead.failed", { userId, error: messageOf(error) });
    }
  }

  /** Without an agent what waits is looked at, and where it is outdated its own agent's is started. */
  async #look(userId: string, agentId?: string): Promise<void> {
    const { store, workspaces } = this.#deps;
    const before = this.#waiting.get(userId);
    const agent = store.getAgent(agentId ?? (!before || isGone(before) ? "" : before.agentId));
    for (;;) {
      const waiting = this.#waiting.get(userId);
      const container = workspaces.current(userId);
      const canWait = agent !== null && container !== null && this.#canWait(agent) && isReady(container);
      // A container that goes once nothing runs in it would never.
      const isWanted = canWait && !store.activeRunOf(agent) && !workspaces.isOutdated(userId);
      const next = nextOfAhead({
        isWanted,
        waiting: !waiting ? "none" : isGone(waiting) ? "gone" : this.#isAsNow(waiting, agent, container),
        freeBytes: container ? (readFreeBytes(container.cgroup, container.limits.memoryBytes || Infinity) ?? 0) : 0,
      });
      if (next === "stay") return;
      if (next === "start") return this.#start(agent!, container!);
      await this.#end(userId);
    }
  }

  #canWait(agent: AgentRow): boolean {
    const isCloned = agent.repository === null || agent.sessionUsed;
    const isOn = this.#deps.context.settings.BERTH_AHEAD === 1;
    return isOn && runtimes[agent.runtime].input !== null && isCloned && !agent.deleted;
  }

  #isAsNow(waiting: Waiting, agent: AgentRow | null, container: RunningContainer | null) {
    const isSame = agent && container && waiting.agentId === agent.id;
    return isSame && waiting.shape === this.#shapeOf(agent, container) ? "ready" : "outdated";
  }

  /** All that it is started from, as far as this host knows it. */
  #shapeOf(agent: AgentRow, container: RunningContainer): string {
    const exec = execOf(this.#deps.context, { id: "", ...plain }, agent, "");
    // The CLI knows the date of its start.
    const facts = [container.id, exec, filesOf(agent), this.#deps.context.clock.iso().slice(0, 10)];
    return createHash("sha256").update(JSON.stringify(facts)).digest("hex");
  }

  async #start(agent: AgentRow, container: RunningContainer): Promise<void> {
    const { engine, context, workspaces } = this.#deps;
    const { userId, uid } = agent;
    const [id, token, { volume }] = [newAheadName(), `brt_${randomText(40)}`, container];
    const shape = this.#shapeOf(agent, container);
    const input = runtimes[agent.runtime].input!;
    await this.#deps.freed(userId);
    await makeAgentDirectory(volume, agent.id, uid);
    await workspaces.admitAgent(agent);
    const execId = await engine.createExec(container.id, execOf(context, { id, ...plain }, agent, token));
    if (execId === null) return;
    const isNew = { isReady: Promise.resolve(false), hasFailed: false, isEnding: false, mayCome: false };
    const waiting: Waiting = { id, agentId: agent.id, uid, container, execId, token, shape, ...isNew };
    this.#waiting.set(userId, waiting);
    try {
      await makeRunFiles(volume, id, uid, {
        ...filesOf(agent),
        token,
        container: container.id,
        prompt: null,
        attachments: null,
        payload: null,
        in: input.warmUp,
      });
      waiting.mayCome = true;
      if ((await engine.startExec(execId)) === "gone") throw new Error("the container has gone");
      waiting.mayCome = false;
      waiting.isReady = this.#warmUp(waiting, input.isWarm);
    } catch (error) {
      waiting.hasFailed = true;
      throw error;
    }
  }

  /** Resolves with true once it waits for its message alone, and nothing that it said before is in its log. */
  async #warmUp(waiting: Waiting, isWarm: (said: string) => boolean): Promise<boolean> {
    const { id, uid, container } = waiting;
    const { volume, cgroup } = container;
    const deadline = performance.now() + warmUpMs;
    try {
      const hasProcesses = lookSeldom(() => !isWithout(cgroup, inRunOf(uid)));
      const isGone = () => readExit(volume, id).code !== null || !hasProcesses();
      while (!isWarm(readBeginning(volume, id))) {
        if (isGone() || performance.now() > deadline) throw new Error("it did not get ready");
        await sleep(5 * lookMs);
      }
      if (!readExit(volume, id).isAhead) throw new Error("the container's image is an older one");
      await emptyOut(volume, id);
      this.#deps.context.log.info("ahead.ready", { agentId: waiting.agentId });
      return true;
    } catch (error) {
      waiting.hasFailed = true;
      if (waiting.isEnding) return false;
      this.#deps.context.log.warn("ahead.not_ready", { agentId: waiting.agentId, error: messageOf(error) });
      return false;
    }
  }

  /** Ends it with all its processes, one included that is only coming. */
  async #end(userId: string): Promise<boolean> {
    const waiting = this.#waiting.get(userId);
    if (!waiting) return false;
    const { container, uid, execId, id } = waiting;
    waiting.isEnding = true;
    const deadline = performance.now() + endedMs;
    for (;;) {
      await endProcesses(container.cgroup, inRunOf(uid), 0);
      const state = await this.#deps.engine.inspectExec(execId);
      const isComing = state && (state.running || (waiting.mayCome && state.exitCode === null));
      if (!isComing || performance.now() > deadline) break;
      await sleep(lookMs);
    }
    this.#waiting.delete(userId);
    await removeRunFiles(container.volume, id);
    this.#deps.context.log.info("ahead.dropped", { userId, agentId: waiting.agentId });
    return true;
  }
}

const isGone = ({ hasFailed, container, id }: Waiting) => hasFailed || readExit(container.volume, id).code !== null;
