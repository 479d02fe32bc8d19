/** The user's agents: loaded once, changed by calls, kept the same in every tab. */
import { computed, signal } from "@preact/signals";
import type { Agent, Run } from "@berth/shared/resources";
import { ApiError, call, getAll, post, postOnce } from "../api/api.ts";
import { activeRuns, noteRuns, runs } from "./live.ts";
import { createOtherTabs } from "../api/other-tabs.ts";

/** Oldest first; null until they are loaded. */
export const agents = signal<Agent[] | null>(null);

const otherTabs = createOtherTabs("berth.agents", () => void loadAgents());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && agents.value) void loadAgents();
});

/** A run of an agent that this tab has not heard of: another client made it. */
const unknownAgent = computed(
  () => agents.value !== null && activeRuns.value.some((run) => !agents.value?.some(({ id }) => id === run.agentId)),
);
unknownAgent.subscribe((isUnknown) => isUnknown && void loadAgents());

const againMs = 5000;
let again: ReturnType<typeof setTimeout> | undefined;

export async function loadAgents(): Promise<void> {
  clearTimeout(again);
  try {
    agents.value = await getAll<Agent>("/v1/agents");
  } catch (error) {
    // The connection's state is shown already; the list stays as it was, and one that never came is asked for again.
    const isOut = error instanceof ApiError && error.code === "unauthenticated";
    if (agents.value === null && !isOut) again = setTimeout(loadAgents, againMs);
  }
}

export function forgetAgents(): void {
  clearTimeout(again);
  agents.value = null;
}

export const agentById = (id: string) => agents.value?.find((agent) => agent.id === id);

/** The agent's run in progress. */
export const runOfAgent = (id: string) => activeRuns.value.find((run) => run.agentId === id);

/** With a repository it is cloned by the agent's first run. */
export async function createAgent(
  wanted: Pick<Agent, "name" | "runtime" | "repository" | "model" | "instructions">,
): Promise<Agent> {
  return took(await post<Agent>("/v1/agents", wanted));
}

export async function updateAgent(
  id: string,
  change: Partial<Pick<Agent, "name" | "model" | "instructions" | "permissions" | "directory">>,
): Promise<Agent> {
  return took(await call<Agent>("PATCH", `/v1/agents/${id}`, change));
}

/** Sets these variables and leaves the others; null removes. */
export async function changeEnv(id: string, change: Record<string, string | null>): Promise<Agent> {
  return took(await call<Agent>("PATCH", `/v1/agents/${id}/env`, change));
}

/** Its next message shall be answered soon. */
export function openConversation(id: string): void {
  post(`/v1/agents/${id}/ahead`).catch(() => undefined);
}

/** Sends a message that waits its turn; of calls with one `key` one counts. */
export async function queueMessage(
  agentId: string,
  message: Pick<Run, "prompt"> & Partial<Pick<Run, "attachments">>,
  key: string,
): Promise<void> {
  noteRuns([await postOnce<Run>(`/v1/agents/${agentId}/runs`, { ...message, ifBusy: "queue" }, key)]);
}

/** Its next message begins a conversation. */
export async function resetAgent(id: string): Promise<Agent> {
  return took(await post<Agent>(`/v1/agents/${id}/reset`));
}

export async function deleteAgent(id: string): Promise<void> {
  await call("DELETE", `/v1/agents/${id}`);
  agents.value = agents.value?.filter((agent) => agent.id !== id) ?? null;
  runs.value = new Map([...runs.value].filter(([, run]) => run.agentId !== id));
  otherTabs.tell();
}

function took(agent: Agent): Agent {
  const others = agents.value ?? [];
  agents.value = others.some(({ id }) => id === agent.id)
    ? others.map((other) => (other.id === agent.id ? agent : other))
    : [...others, agent];
  otherTabs.tell();
  return agent;
}
