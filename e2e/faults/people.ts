/** What people do while runs go on: stop a workspace, drain a host, disable a user, delete an agent. */
import { until } from "../../gateway/test/wait.ts";
import { pause } from "./random.ts";
import { type Fault, keepCopy } from "./scene.ts";

export const peoplesActs: Fault[] = [
  {
    name: "workspace stopped",
    weight: 2,
    of: "gateway",
    async act({ workers, random }) {
      const { user, client } = random.pick(workers);
      const answer = await client.call("POST", "/v1/workspace/stop").catch(() => null);
      return `of ${user}, answered ${answer?.status ?? "not at all"}`;
    },
  },
  {
    name: "host drained",
    weight: 1,
    of: "host",
    async act({ admin, random }, host) {
      const drained = await admin.call("POST", `/v1/admin/hosts/${host.id()}/drain`).catch(() => null);
      await pause(random.whole(1000, 8000));
      await insist(() => admin.call("POST", `/v1/admin/hosts/${host.id()}/resume`), [200, 404, 409]);
      return `answered ${drained?.status ?? "not at all"}`;
    },
  },
  {
    name: "user disabled",
    weight: 2,
    of: "gateway",
    async act(scene) {
      const { admin, random, workers, fleet } = scene;
      const { user, userId } = random.pick(workers);
      const cancelRuns = random.isTrue(0.5);
      const change = (body: object) => admin.call("PATCH", `/v1/admin/users/${userId}`, body);
      await change({ disabled: true, ...(cancelRuns && { cancelRuns }) }).catch(() => undefined);
      await pause(random.whole(500, 6000));
      await insist(() => change({ disabled: false }), [200]);
      await keepCopy(fleet);
      return `${user}${cancelRuns ? ", whose runs end" : ""}`;
    },
  },
  {
    name: "agent deleted",
    weight: 3,
    of: "gateway",
    async act({ random, workers, fleet, recorder }) {
      const worker = random.pick(workers.filter(({ isDeletable }) => isDeletable));
      const { client, user, userId, agentId } = worker;
      await insist(() => client.call("DELETE", `/v1/agents/${agentId}`), [204, 404]);
      const name = `again${recorder.number()}`;
      const made = await insist(() => client.call("POST", "/v1/agents", { name, runtime: "shell" }), [201, 409]);
      if (made.status === 409) throw new Error(`a new agent of ${user} was answered ${JSON.stringify(made.body)}`);
      worker.agentId = made.body["id"] as string;
      recorder.write({ kind: "agent", user: userId, agent: worker.agentId, runtime: "shell" });
      await keepCopy(fleet);
      return `${agentId} of ${user}`;
    },
  },
];

/** Repeats a call until it is answered so. */
async function insist<T extends { status: number }>(call: () => Promise<T>, statuses: number[]): Promise<T> {
  return until(
    async () => {
      const answer = await call().catch(() => null);
      return answer && statuses.includes(answer.status) ? answer : null;
    },
    `an answer of ${statuses.join(" or ")}`,
  );
}
