/** Agents: the first page, a new one, settings and environment; the workspace they share. */
import type { ComponentChildren } from "preact";
import type { OnInterruption, Permissions } from "@berth/shared/resources";
import { createPlural, type Wrap } from "../grammar.ts";

const plural = createPlural("en");

export const agents = {
  title: "Agents",
  inUse: (count: number, limit: number) => `${count} of ${limit}`,
  loading: "Loading the agents …",
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
      ? "Every terminal ends with it. Files stay."
      : plural(runs, {
          one: "# run in progress will be stopped with it, and every terminal. Files stay.",
          other: "# runs in progress will be stopped with it, and every terminal. Files stay.",
        }),
  firstTitle: "Create your first agent",
  firstWhat:
    "An agent is a conversation with a directory of its own. You write to it, it works in your container, and you watch it work. Close the page whenever you like: a run goes on and is here when you come back.",
  firstHints: {
    share: (agents: number, runs: number) =>
      `Up to ${agents} agents share one container, and ${runs} can work at the same time.`,
    apart: (code: Wrap): ComponentChildren => [
      "One agent per task or repository works well: they can't read each other's files, except in ",
      code("/workspace/shared"),
      ".",
    ],
    api: (token: Wrap, docs: Wrap): ComponentChildren => [
      "Programs can do the same with the API: create a ",
      token("token"),
      " and see ",
      docs("how"),
      ".",
    ],
  },
  full: (limit: number) => `All ${limit} agents are in use. Delete one in its settings to make room for another.`,
  nameOfNew: "Name of a new agent",
  newAgent: "New agent",
  create: "Create",
  nameFirst: "Give the agent a name first.",
  more: "More options",
  repository: "Repository to clone",
  repositoryPlaceholder: "https://… (optional)",
  kind: "Kind",
  settings: "Settings",
  triggers: "Triggers",
  changes: "Changes",
  settingsOf: (agent: string) => `Settings of ${agent}`,
  name: "Name",
  directory: "Directory",
  directoryPlaceholder: "its own, or one below it",
  cloned: (repository: string) => `${repository} is cloned by the first message.`,
  savedForNext: "Saved. It applies from the next message on.",
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
  permissionsHint: "A seat belt, not a wall: what keeps an agent in is its container.",
  onInterruption: "If its machine or workspace goes away during a turn",
  onInterruptionChoices: { stop: "It stops", continue: "It goes on by itself, at most twice" } satisfies Record<
    OnInterruption,
    string
  >,
  onInterruptionHint: "The step that was cut off may be done a second time.",
  download: "Download",
  downloadWhat: "All messages to this agent with their results, as one Markdown file.",
  downloadAct: "Download as Markdown",
  newConversation: "New conversation",
  newConversationWhat:
    "The next message starts from scratch: the model is no longer told what was said before. Files stay.",
  newConversationAsk: "Start a new conversation …",
  newConversationTitle: (agent: string) => `Start a new conversation with ${agent}?`,
  newConversationAct: "Start over",
  newConversationLoss: "It will know nothing of what was said so far except what is in its files and instructions.",
  newConversationDone: "Done. The next message is its first.",
  deleteWhat: "Its run is stopped and its directory is removed with everything in it. This can't be undone.",
  deleteAsk: "Delete this agent …",
  deleteTitle: (agent: string) => `Delete ${agent}?`,
  deleteAct: "Delete permanently",
  deleteLoss:
    "Its conversation, its directory and everything in it are removed. What is not pushed somewhere else is lost.",
  environment: "Environment",
  environmentNone: "No variables yet. Tokens and settings that the agent's commands need belong here, not in messages.",
  environmentHint: (code: Wrap): ComponentChildren => [
    "Values are stored on the host only, and nobody can read them back. You can paste a ",
    code(".env"),
    " file into a name.",
  ],
  variableSet: "set, hidden",
  replaceValue: (name: string) => `Replace the value of ${name}`,
  replace: "Replace",
  removeVariable: (name: string) => `Remove ${name}`,
  undo: "Undo",
  saveVariables: "Save the variables",
  willBeRemoved: "will be removed",
  addVariable: "Add a variable",
  variable: (number: number) => `variable ${number}`,
  variableName: (number: number) => `Name of variable ${number}`,
  variableNamePlaceholder: "NAME",
  variableValue: (name: string) => `Value of ${name}`,
  variableValuePlaceholder: "value",
  variableNewValue: "new value",
  variableNameless: "One value has no name.",
  variableOdd: (name: string) =>
    `${name} can't be the name of a variable. Use letters, digits and _, and don't start with a digit.`,
};
