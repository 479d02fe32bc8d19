/** A small gateway for schedules of the host alone: holds a copy by the rules of the real one, and asks for what it still misses. */
import { protocolVersion, type ReportAnswer, type ReportBody, type ReportedRun } from "@berth/shared/host-api";
import { isEnded } from "@berth/shared/resources";
import { type Outgoing, publicJwk, startMs } from "../world/globals.ts";
import type { Letter } from "./network.ts";
import { makeSide, world } from "../world/world.ts";

export class ModelGateway {
  readonly side = makeSide("gateway");
  #held = { epoch: "", rev: 0 };
  readonly runs = new Map<string, ReportedRun & { epoch: string }>();
  /** Agents that the host shall drop, and users whose runs shall end. */
  readonly deleted = new Set<string>();
  readonly stopped = new Set<string>();
  isAway = false;

  readonly address = () =>
    this.isAway ? null : { side: this.side, answer: (request: Outgoing) => this.#answer(request) };

  #answer({ method, body }: Outgoing): Letter {
    const said = method === "GET" ? { keys: [publicJwk] } : this.#apply(JSON.parse(body!) as Required<ReportBody>);
    return { status: 200, headers: [], body: JSON.stringify(said) };
  }

  #apply({ epoch, since, rev, runs, agents, complete }: Required<ReportBody>): ReportAnswer {
    for (const run of runs) this.take(epoch, run);
    for (const { id, deleted } of agents) if (deleted) this.deleted.delete(id);
    const held = this.#held;
    const isSame = held.epoch === epoch;
    const reach = since <= held.rev ? Math.max(held.rev, rev) : held.rev;
    this.#held = { epoch, rev: isSame ? reach : since === 0 ? rev : 0 };
    if (complete && this.#held.rev >= rev) this.#endForgotten(epoch);
    return {
      protocol: protocolVersion,
      time: new Date(startMs + world().nowMs).toISOString(),
      ack: this.#held,
      revokedTokens: [],
      disabledUsers: [...this.stopped],
      stoppedUsers: [...this.stopped],
      deletedUsers: [],
      deletedAgents: [...this.deleted],
      heldRuns: this.#heldRuns(),
      cancelledRuns: [],
    };
  }

  /** Runs in progress of the history that is held. */
  #heldRuns(): string[] {
    const held = [...this.runs.values()].filter((run) => run.epoch === this.#held.epoch && !isEnded(run.status));
    return held.map(({ id }) => id);
  }

  take(epoch: string, run: ReportedRun): void {
    const known = this.runs.get(run.id);
    const isNewer = !known || known.epoch !== epoch || known.rev < run.rev;
    if (!isNewer || (known && isEnded(known.status) && !isEnded(run.status))) return;
    const told = known && isEnded(known.status) ? { ...known, rev: run.rev, usage: run.usage } : run;
    this.runs.set(run.id, { ...told, epoch });
  }

  #endForgotten(epoch: string): void {
    for (const run of this.runs.values())
      if (run.epoch !== epoch && !isEnded(run.status)) Object.assign(run, { status: "failed", reason: "host_lost" });
  }
}
