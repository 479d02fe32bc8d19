/** Messages as scripts for bash. */
import type { Runtime } from "./runtime.ts";

export const shell: Runtime = {
  name: "Shell",
  choice: "your messages as shell scripts",
  placeholder: "A shell script …",
  empty: {
    title: "Write a shell script",
    paragraphs: [
      "Each message runs with bash in this agent's directory, as its own user. What it prints shows here, line by line.",
    ],
    example: "git clone https://… && cd … && make test",
  },
  hasModel: false,
  reads: false,
  dialect: null,
};
