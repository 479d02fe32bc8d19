/** The host agent as it would be elsewhere: `OTHER_VERSION` is its version, `CLOCK_OFFSET` the milliseconds by which its machine's clock is wrong. */
import { mkdirSync } from "node:fs";
import { createLog } from "@berth/shared/log";
import { parseSettings } from "@berth/shared/settings";
import { startHostAgent } from "../../host-agent/src/host-agent.ts";

const settings = parseSettings(process.env);
const offsetMs = Number(process.env["CLOCK_OFFSET"] ?? 0);
mkdirSync(settings.BERTH_HOST_DATA_DIR, { recursive: true });
const agent = await startHostAgent({
  settings,
  dataDir: settings.BERTH_HOST_DATA_DIR,
  version: process.env["OTHER_VERSION"] ?? "0.1.0",
  log: createLog((line) => process.stdout.write(`${line}\n`)),
  machineNow: () => Date.now() + offsetMs,
});
process.once("SIGTERM", () => void agent.close().then(() => process.exit(0)));
