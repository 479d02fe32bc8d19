/** Messages as scripts for bash. */
import { claude } from "./claude.ts";
import type { Runtime } from "./runtime.ts";

/** Its scripts may call the CLI that the image has, and its model. */
export const shell: Runtime = {
  modelApi: claude.modelApi,
  env: claude.env,
  tokenName: claude.tokenName,
  command: (_agent, promptFile) => ["bash", promptFile],
  input: null,
  envOfRun: () => ({}),
  rule: null,
  hasSession: false,
  readLine: () => null,
  wordsIn: () => null,
  speaksJson: false,
  resultIsTail: true,
  answersSoon: false,
};
