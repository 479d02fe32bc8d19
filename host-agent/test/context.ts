/** For tests: what every part of a host agent is given, with a log that nobody reads. */
import { createLog } from "@berth/shared/log";
import { parseSettings } from "@berth/shared/settings";
import { createAlerts } from "../src/context/alerts.ts";
import { createBus } from "../src/context/bus.ts";
import { createClock } from "../src/context/clock.ts";
import type { HostContext } from "../src/context/context.ts";
import { createTurns } from "../src/context/turns.ts";

export const makeContext = (dataDir: string): HostContext => ({
  hostId: "hst_1",
  settings: parseSettings({}),
  settingsOf: () => parseSettings({}),
  dataDir,
  clock: createClock(),
  log: createLog(() => {}),
  bus: createBus(),
  turns: createTurns(),
  alerts: createAlerts(Date.now),
});
