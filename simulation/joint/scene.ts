/** Everything of one schedule of gateway and hosts. */
import type { Scene } from "../schedule/scene.ts";
import type { Network } from "../sides/network.ts";
import type { World } from "../world/world.ts";
import type { Callers } from "./callers.ts";
import type { GatewayDatabase } from "./d1.ts";
import type { Gateway } from "./gateway.ts";

export interface JointScene {
  world: World;
  network: Network;
  gateway: Gateway;
  database: GatewayDatabase;
  callers: Callers;
  /** One a host, as schedules of a host alone have it. */
  hosts: Scene[];
  /** Addresses that nobody reaches now, and for how many reasons. */
  unreachable: Map<string, number>;
  /** An older copy of a database was put back, or one was lost: what was told may be told otherwise. */
  hasForgotten: boolean;
  /** It was the gateway's: it has forgotten ends that it told. */
  isGatewayOld: boolean;
  seen: Map<string, number>;
  lastMs: number;
}
