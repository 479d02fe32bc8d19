/** The environment of an agent's processes, whatever starts them. A run adds its token; nothing else has one. */
import type { Settings } from "@berth/shared/settings";
import { modelSocket } from "./unix-sockets.ts";
import type { AgentRow } from "../store/rows.ts";
import { hostname } from "../machine/engine.ts";
import { forwarderPort, paths } from "./container.ts";
import { gitConfig } from "./git-identities.ts";
import { runtimes } from "../runtimes/runtimes.ts";

/** The agent's directory in the container. */
export const homeOf = (agent: Pick<AgentRow, "id">) => `${paths.workspace}/agent-${agent.id}`;

/** Where it works: a path that the agent can have made a link of, to be entered under its own uid alone. */
export const placeOf = (agent: Pick<AgentRow, "id" | "directory">) =>
  agent.directory === null ? homeOf(agent) : `${homeOf(agent)}/${agent.directory}`;

/** As the engine wants it. */
export const toLines = (env: Record<string, string>) => Object.entries(env).map(([key, value]) => `${key}=${value}`);

/** Half of the container's processes: a fork bomb of one agent leaves the others room. */
export const processLimit = (settings: Settings) => String(Math.max(32, Math.floor(settings.BERTH_PIDS / 2)));

export function environmentOf(settings: Settings, agent: AgentRow): Record<string, string> {
  const home = homeOf(agent);
  return {
    GIT_CONFIG_SYSTEM: `${paths.sockets}/${gitConfig}`,
    ...agent.env,
    ...runtimes[agent.runtime].env(home, `${paths.sockets}/${modelSocket(agent.id)}`),
    PATH: pathOf(home, agent.env["PATH"]),
    HOME: home,
    USER: `agent${agent.uid}`,
    LOGNAME: `agent${agent.uid}`,
    TMPDIR: `${home}/.berth/tmp`,
    BERTH_AGENT_ID: agent.id,
    ...(agent.directory && { BERTH_DIRECTORY: agent.directory }),
    BERTH_NPROC: processLimit(settings),
    ...(settings.BERTH_EGRESS !== "none" && { ...proxyVariables, JAVA_TOOL_OPTIONS: javaOptions(agent.env) }),
  };
}

/** The agent's own commands first, as of `pip install` and `npm install -g`. */
const ownPath = (home: string) => [
  `${home}/.local/bin`,
  "/opt/berth/bin",
  "/usr/local/sbin",
  "/usr/local/bin",
  "/usr/sbin",
  "/usr/bin",
  "/sbin",
  "/bin",
];

/** What the agent's environment says, which may name $PATH and $HOME as a shell does; the image's own commands are always in it. */
function pathOf(home: string, own = "$PATH"): string {
  const image = ownPath(home);
  const named = own
    .replaceAll(/\$(PATH|\{PATH\})(?!\w)/g, image.join(":"))
    .replaceAll(/\$(HOME|\{HOME\})(?!\w)|(?<=^|:)~(?=\/)/g, home)
    .split(":");
  return [...new Set([...named, ...image])].filter(Boolean).join(":");
}

const proxy = `http://127.0.0.1:${forwarderPort}`;
/**
 * Every spelling of this container as some reader of these variables compares it: by suffix (Python, curl), by name (Node), by
 * network (curl, Go, requests). Of 127.0.0.0/8 those that
 * people type, for who compares names alone; not `0`, which is the end of many a port to requests. With brackets only where Node's fetch finds them, which splits at spaces: httpx, and with it the SDKs of
 * model APIs, takes an entry for an address and does not start where that has a bracket, but for in a path.
 */
const inside = [
  "localhost",
  ".localhost",
  "localhost.",
  "localhost.localdomain",
  "ip6-localhost",
  "ip6-loopback",
  hostname,
  "127.0.0.1",
  "127.0.1.1",
  "127.1",
  "127.0.0.0/8",
  "0.0.0.0",
  "::1",
  "::",
  "::ffff:127.0.0.1",
  "::ffff:7f00:1",
  "http://localhost/ [::1] [::] [::ffff:7f00:1]",
].join(",");
const proxyVariables = {
  HTTP_PROXY: proxy,
  HTTPS_PROXY: proxy,
  http_proxy: proxy,
  https_proxy: proxy,
  NO_PROXY: inside,
  no_proxy: inside,
  NODE_USE_ENV_PROXY: "1",
};
/** Of an option that is there twice Java takes the last. */
const javaOptions = (own: Record<string, string>) => `${javaProxy} ${own["JAVA_TOOL_OPTIONS"] ?? ""}`.trim();
/** Java reads none of these variables. */
const javaProxy = [
  ...["http", "https"].flatMap((scheme) => [
    `-D${scheme}.proxyHost=127.0.0.1`,
    `-D${scheme}.proxyPort=${forwarderPort}`,
  ]),
  `-Dhttp.nonProxyHosts=localhost|*.localhost|localhost.localdomain|ip6-localhost|ip6-loopback|${hostname}|127.*|0.0.0.0|[::1]|[::]|[::0]|[0:0:0:0:0:0:0:1]|[::ffff:127.*`,
].join(" ");
