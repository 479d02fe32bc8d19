/** Schedules of the gateway and its hosts together. */
import type { Game } from "../schedule/campaign.ts";
import { drawOperations, type JointOperation } from "./operations.ts";
import { playJoint } from "./schedule.ts";

export const jointGame: Game<JointOperation> = { world: "joint", draw: drawOperations, play: playJoint };
