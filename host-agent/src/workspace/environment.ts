/** The environment of an agent's processes, whatever starts them. A run adds its token; nothing else has one. */
import type { Settings } from "@berth/shared/settings";
import { modelSocket } from "./unix-sockets.ts";
import type { AgentRow } from "../store/rows.ts";
import { forwarderPort, paths } from "./container.ts";
import { runtimes } from "./runtimes.ts";

/** The agent's directory in the container. */
export const homeOf = (agent: Pick<AgentRow, "id">) => `${paths.workspace}/agent-${agent.id}`;

/** As the engine wants it. */
export const toLines = (env: Record<string, string>) => Object.entries(env).map(([key, value]) => `${key}=${value}`);

export function environmentOf(settings: Settings, agent: AgentRow): Record<string, string> {
  const home = homeOf(agent);
  const proxy = `http://127.0.0.1:${forwarderPort}`;
  return {
    ...agent.env,
    ...runtimes[agent.runtime].env(home, `${paths.sockets}/${modelSocket(agent.id)}`),
    HOME: home,
    USER: `agent${agent.uid}`,
    LOGNAME: `agent${agent.uid}`,
    TMPDIR: `${home}/.tmp`,
    BERTH_AGENT_ID: agent.id,
    // Half of the container's processes: a fork bomb of one agent leaves the others room.
    BERTH_NPROC: String(Math.max(32, Math.floor(settings.BERTH_PIDS / 2))),
    ...(settings.BERTH_EGRESS !== "none" && {
      HTTP_PROXY: proxy,
      HTTPS_PROXY: proxy,
      http_proxy: proxy,
      https_proxy: proxy,
      NO_PROXY: "localhost,127.0.0.1",
      no_proxy: "localhost,127.0.0.1",
      NODE_USE_ENV_PROXY: "1",
    }),
  };
}
