/** Everything of one schedule. */
import type { Machine } from "../machine/machine.ts";
import type { Host } from "../sides/host.ts";
import type { ModelGateway } from "../sides/model-gateway.ts";
import type { Network } from "../sides/network.ts";
import type { World } from "../world/world.ts";
import type { Clients } from "./clients.ts";

export interface Scene {
  world: World;
  machine: Machine;
  host: Host;
  gateway: ModelGateway;
  network: Network;
  clients: Clients;
  seen: Map<string, number>;
  /** Runs whose end was told while their disk took no note of it. */
  unnoted: Set<string>;
  /** When the last of what was begun by operations comes. */
  lastMs: number;
}

export const containersOf = ({ machine }: Scene, user: string) =>
  [...machine.containers.all.values()].filter(({ options }) => options.Labels["berth.user"] === user);
