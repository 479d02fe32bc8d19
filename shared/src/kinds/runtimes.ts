/**
 * The runtimes by their names, and what both processes and the page must agree on. What only one of them knows of a runtime stands
 * in that one's own record of runtimes.
 */
interface Facts {
  /** The setting with the key to its model; it stays with the host agent. Null where it calls none of its own. */
  keyName: string | null;
  /** Names in an agent's environment that Berth sets itself for its sake. */
  ownEnv: string[];
  /** Whether messages are scripts, which it executes as they are. */
  isScript: boolean;
}

export const runtimeFacts = {
  claude: {
    keyName: "ANTHROPIC_API_KEY",
    ownEnv: [
      "ANTHROPIC_API_KEY",
      "ANTHROPIC_AUTH_TOKEN",
      "ANTHROPIC_BASE_URL",
      "ANTHROPIC_UNIX_SOCKET",
      "ANTHROPIC_CUSTOM_HEADERS",
      "CLAUDE_CONFIG_DIR",
    ],
    isScript: false,
  },
  shell: { keyName: null, ownEnv: [], isScript: true },
} as const satisfies Record<string, Facts>;

export type RuntimeName = keyof typeof runtimeFacts;
export const runtimeNames = Object.keys(runtimeFacts) as [RuntimeName, ...RuntimeName[]];

const all: Facts[] = Object.values(runtimeFacts);
export type ModelKeyName = NonNullable<(typeof runtimeFacts)[RuntimeName]["keyName"]>;
export const modelKeyNames = all.flatMap(({ keyName }) => keyName ?? []) as ModelKeyName[];
export const runtimesOwnEnv: ReadonlySet<string> = new Set(all.flatMap(({ ownEnv }) => ownEnv));
