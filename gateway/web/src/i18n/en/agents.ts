/** Agents: the first page, a new one, what all their pages have; the workspace they share. */
import type { Permissions } from "@berth/shared/resources";
import { createPlural } from "../grammar.ts";

const plural = createPlural("en");

export const agents = {
  title: "Agents",
  inUse: (count: number, limit: number) => `${count} of ${limit}`,
  loading: "Loading the agents…",
  runs: (count: number) => plural(count, { one: "# run", other: "# runs" }),
  cores: (count: number) => plural(count, { one: "# core", other: "# cores" }),
  costIn: (usd: string, runs: string) => `${usd} in ${runs}, last 30 days`,
  noRuns: "No runs in the last 30 days",
  stopWorkspace: "Stop the workspace",
  startWorkspace: "Start the workspace",
  stopWorkspaceTitle: "Ends the container and its runs. Files stay.",
  stopAsk: "Stop the workspace?",
  stopIt: "Stop it",
  stopWhat: (runs: number) =>
    runs === 0
      ? "Every terminal is closed too. Files stay."
      : plural(runs, {
          one: "# run in progress will be stopped, and every terminal closed. Files stay.",
          other: "# runs in progress will be stopped, and every terminal closed. Files stay.",
        }),
  full: (limit: number) => `All ${limit} agents are in use. Delete one in its settings to make room for another.`,
  nameOfNew: "Name of a new agent",
  newAgent: "New agent",
  nameFirst: "Give the agent a name first.",
  more: "More options",
  repository: "Repository to clone",
  repositoryPlaceholder: "https://… (optional)",
  kind: "Kind",
  settings: "Settings",
  terminal: "Terminal",
  files: "Files",
  triggers: "Triggers",
  changes: "Changes",
  model: "Model",
  instructions: "Instructions",
  instructionsPlaceholder: "What it should always know: conventions, commands, what not to touch",
  permissions: "Permissions",
  permissionChoices: {
    skip: "Acts without asking",
    ask: "Asks before it changes or runs something",
    plan: "Makes a plan first, and asks",
  } satisfies Record<Permissions, string>,
  permissionNames: { skip: "acts without asking", ask: "asks first", plan: "plans first" } satisfies Record<
    Permissions,
    string
  >,
  newConversationAsk: "Start a new conversation…",
  newConversationTitle: (agent: string) => `Start a new conversation with ${agent}?`,
  newConversationAct: "Start over",
  newConversationLoss: "It will know nothing of what was said so far except what is in its files and instructions.",
};
