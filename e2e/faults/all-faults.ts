/** The faults: each breaks something for a while and mends it again, and leaves word of what it did to whom. */
import { gatewayFaults } from "./gateway-faults.ts";
import { machineFaults } from "./machine-faults.ts";
import { membershipFaults } from "./membership-faults.ts";
import { peoplesActs } from "./people.ts";
import type { Fault } from "./scene.ts";

export const faults: Fault[] = [...machineFaults, ...gatewayFaults, ...membershipFaults, ...peoplesActs];
