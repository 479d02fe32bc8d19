/**
 * A host agent whose egress proxy sees a small internet made of test servers: `TLS_PORTS=https,http` names the loopback
 * ports behind it. Its policy is the real one; only names and connections are replaced.
 */
import { mkdirSync } from "node:fs";
import { createLog } from "@berth/shared/log";
import { parseSettings } from "@berth/shared/settings";
import { startHostAgent } from "../../host-agent/src/host-agent.ts";
import { routeTo } from "../../host-agent/test/tls-servers.ts";

const [httpsPort = 0, httpPort = 0] = process.env["TLS_PORTS"]!.split(",").map(Number);
const { lookup, connect } = routeTo({ httpsPort, httpPort });

/** Names with addresses that no workspace may reach, and one whose address changes after it was looked up once. */
const inside: Record<string, string[]> = {
  "loopback.berth.test": ["127.0.0.1"],
  "metadata.berth.test": ["169.254.169.254"],
  "private.berth.test": ["10.0.0.1", "192.168.1.1", "172.16.0.1"],
  "mapped.berth.test": ["::ffff:127.0.0.1"],
};
let rebound = 0;

const settings = parseSettings(process.env);
mkdirSync(settings.BERTH_HOST_DATA_DIR, { recursive: true });
const agent = await startHostAgent({
  settings,
  dataDir: settings.BERTH_HOST_DATA_DIR,
  version: "0.0.0",
  log: createLog((line) => process.stdout.write(`${line}\n`)),
  egress: {
    lookup: async (host) => {
      if (host === "rebinding.berth.test") return rebound++ === 0 ? lookup("files.berth.test") : ["127.0.0.1"];
      return inside[host] ?? lookup(host);
    },
    connect,
  },
});
process.once("SIGTERM", () => void agent.close().finally(() => process.exit(0)));
