/** Chains of forks in a container, and how far they have come. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Berth, userIdOf } from "./harness.ts";
import { forkChain } from "../../host-agent/test/fork-chain.ts";
import type { Client } from "./client.ts";

/** Starts the chains and says so once they have made a step. They count where the file outlives their agent. */
export const startChains = (agentId: string) =>
  `mkdir -p /workspace/shared/${agentId}; cd /workspace/shared/${agentId}; rm -f count; echo ${forkChain} | base64 -d >~/chain; chmod +x ~/chain; ~/chain & until [ "$(od -An -N8 -td8 count 2>/dev/null)" -gt 0 ] 2>/dev/null; do :; done; echo chained`;

/** How many steps the chains of an agent have made. */
export async function stepsOf(berth: Berth, client: Client, agentId: string): Promise<bigint> {
  const shared = join(berth.hostDir, "mnt", await userIdOf(client), "workspace", "shared");
  return readFileSync(join(shared, agentId, "count")).readBigUInt64LE(0);
}
