/**
 * A program that no list of processes shows: two chains, each of which forks and leaves its pid some five thousand times a
 * second, pinned to one core so that a limit on CPU time does not hold it up. It counts its steps in a file, for whoever wants
 * to know whether it lives.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Berth, userIdOf } from "./harness.ts";
import type { Client } from "./client.ts";

/**
 * An ELF of x86-64, for the image has no compiler; in assembler (as, then objcopy -O binary) below its header:
 *   open("count", O_RDWR|O_CREAT, 0600); ftruncate(8); mmap(shared) -> rbx; sched_setaffinity(core 0); clone(0)
 *   step: lock incq (%rbx); nanosleep(100 us); clone(CLONE_VM); the child, or who cannot fork: jle step; exit(0)
 */
const program =
  "f0VMRgIBAQAAAAAAAAAAAAIAPgABAAAAeABAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAEAAOAABAAAAAAAAAAEAAAAHAAAAAAAAAAAAAAAAAEAAAAAAAAAAQAAAAAAANwEAAAAAAAA3AQAAAAAAAAAQAAAAAAAAuAIAAABIjT2VAAAAvkIAAAC6gAEAAA8FQYnAice4TQAAAL4IAAAADwW4CQAAADH/vggAAAC6AwAAAEG6AQAAAEUxyQ8FSInDuMsAAAAx/74IAAAASI0VTAAAAA8FuDgAAAAx/zH2MdJFMdIPBfBI/wO4IwAAAEiNPTIAAAAx9g8FuDgAAAC/AAEAADH2MdJFMdIPBYXAftW4PAAAADH/DwVjb3VudAABAAAAAAAAAAAAAAAAAAAAoIYBAAAAAAA=";

/** Starts the chains and says so. They count where the file outlives their agent. */
export const startChains = (agentId: string) =>
  `mkdir -p /workspace/shared/${agentId}; cd /workspace/shared/${agentId}; rm -f count; echo ${program} | base64 -d >~/chain; chmod +x ~/chain; ~/chain & while [ ! -s count ]; do :; done; echo chained`;

/** How many steps the chains of an agent have made. */
export async function stepsOf(berth: Berth, client: Client, agentId: string): Promise<bigint> {
  const shared = join(berth.hostDir, "mnt", await userIdOf(client), "workspace", "shared");
  return readFileSync(join(shared, agentId, "count")).readBigUInt64LE(0);
}
