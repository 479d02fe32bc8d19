/** Settings and environment of an agent. */
import type { ComponentChildren } from "preact";
import type { OnInterruption } from "@berth/shared/resources";
import type { Wrap } from "../grammar.ts";

export const settings = {
  settingsOf: (agent: string) => `Settings of ${agent}`,
  directory: "Directory",
  directoryPlaceholder: "its own, or one below it",
  cloned: (repository: string) => `${repository} is cloned with the first message.`,
  savedForNext: "Saved. It applies from the next message on.",
  permissionsHint: "A seat belt, not a wall: what keeps an agent in is its container.",
  onInterruption: "If its machine or workspace goes away during a turn",
  onInterruptionChoices: { stop: "It stops", continue: "It continues on its own, at most twice" } satisfies Record<
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
  newConversationDone: "Done. The next message is its first.",
  deleteWhat: "Its run is stopped and its directory is removed with everything in it. This can't be undone.",
  deleteAsk: "Delete this agent…",
  deleteTitle: (agent: string) => `Delete ${agent}?`,
  deleteAct: "Delete permanently",
  deleteLoss: "Its conversation, its directory and everything in it are removed. What is not pushed elsewhere is lost.",
  environment: "Environment",
  environmentNone: "No variables yet. Tokens and settings that the agent's commands need belong here, not in messages.",
  environmentHint: (code: Wrap): ComponentChildren => [
    "Values are stored on the host only, and nobody can read them back. You can paste a ",
    code(".env"),
    " file into a name field.",
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
