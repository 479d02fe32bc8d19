/** Triggers and what came in through them. */
import type { ComponentChildren } from "preact";
import type { TriggerScheme } from "@berth/shared/webhooks";
import type { Wrap } from "../grammar.ts";

export const triggers = {
  of: (agent: string) => `Triggers of ${agent}`,
  what: "A trigger is an address. Whatever a program posts to it becomes a message to this agent, each delivery once: an issue, a failed build, a form. While the agent is busy, messages wait in order.",
  schemes: {
    standard: ["Standard Webhooks", "Give the sender this address and this signing secret."],
    github: [
      "GitHub",
      "In the repository's settings, under Webhooks: this address, content type application/json, this secret.",
    ],
    token: ["Bearer token", "The sender posts to the address with this header: Authorization: Bearer SECRET"],
  } satisfies Record<TriggerScheme, [name: string, advice: string]>,
  newTitle: "New trigger",
  nameOfNew: "Name of a new trigger",
  namePlaceholder: "Who sends to it?",
  signs: "How the sender signs",
  make: "Create the trigger",
  /** What a new trigger says to its agent at first. */
  example: (payload: string, file: string) =>
    `A new delivery came in: ${payload}\n\nThe whole of it is in the file named in ${file}.`,
  exampleGithub: ({ event, action, repository, file }: Record<"event" | "action" | "repository" | "file", string>) =>
    `GitHub reports ${event} (${action}) in ${repository}.\n\nThe whole of it is in the file named in ${file}.`,
  isScript: "This message is a script with the sender's words in it. Confirm below that it is meant to run them.",
  runsSender:
    "Run what the sender writes as part of this script. Safer: read it from the file named in $BERTH_PAYLOAD_FILE.",
  runsSenderNote: "What its sender writes runs as part of this script.",
  message: "Message to the agent",
  templateHint: (code: Wrap): ComponentChildren => [
    "Mustache: ",
    code("{{payload.…}}"),
    " is the body as JSON, ",
    code("{{headers.…}}"),
    " its headers, ",
    code("{{trigger.name}}"),
    " this trigger.",
  ],
  copyAddress: "Copy the address",
  newSecret: "New secret …",
  newSecretTitle: (name: string) => `Create a new secret for ${name}?`,
  newSecretAct: "Create it",
  oldEndsLater: "The old one stays valid for a day, so that the sender can be changed meanwhile.",
  oldEndsNow: "The old one ends at once: the sender is refused until it has the new one.",
  keepOld: "Keep the old one valid for a day (only if nobody else has it)",
  one: (name: string) => `Trigger ${name}`,
  deliveries: "Deliveries",
  hideDeliveries: "Hide the deliveries",
  changeMessage: "Change the message",
  leaveAsIs: "Discard the change",
  lastCalled: (ago: ComponentChildren): ComponentChildren => ["last called ", ago],
  neverCalled: "never called yet",
  deleteTitle: (name: string) => `Delete ${name}?`,
  deleteLoss:
    "Its address stops answering, its deliveries are removed, and messages that still wait are dropped. Runs and their transcripts stay.",
  noDeliveries: "Nothing came in yet. Have the sender send a test: the answer it gets tells what is wrong.",
  state: "State",
  cameIn: "Came in",
  senderId: "Sender's id",
  size: "Size",
  run: "Run",
  replay: "Replay",
  replayed: "replayed",
  older: "Older deliveries",
};
