/** What every part of a host agent is given: settings, clock, log and the bus on which changes are told. Plain data. */
import type { Log } from "@berth/shared/log";
import type { Settings } from "@berth/shared/settings";
import type { Alerts } from "./alerts.ts";
import type { Bus } from "./bus.ts";
import type { Clock } from "./clock.ts";
import type { Turns } from "./turns.ts";

/** What every part is given. */
export interface HostContext {
  hostId: string;
  settings: Settings;
  /** As they are for this user, who may have limits of their own. */
  settingsOf(userId: string): Settings;
  /** Absolute path of `BERTH_HOST_DATA_DIR`. */
  dataDir: string;
  clock: Clock;
  log: Log;
  bus: Bus;
  turns: Turns;
  alerts: Alerts;
}
