/** Two gateways on one SQLite file: what is written through either is seen through both, at once, and nothing is refused or lost. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@berth/shared/node/free-port";
import { type Figure, percentile, timed } from "../lib/figures.ts";
import { fillData } from "./fill.ts";
import { createGateway } from "./gateway.ts";
import type { Options } from "./world.ts";

const writers = 8;
const each = 25;

export async function measureTwoGateways(_options: Options): Promise<{ figures: Figure[]; facts: unknown }> {
  const dir = mkdtempSync(join(tmpdir(), "berth-scale-"));
  const second = join(dir, "second");
  const env = { PATH: process.env["PATH"]!, HOME: dir, BERTH_DATA_DIR: dir, BERTH_MAX_AGENTS: "1000" };
  const sizes = { hosts: 0, workspaces: 0, online: writers, newcomers: 0, runs: 0, waiting: 0, expired: 0 };
  const [port, other] = [await freePort(), await freePort()];
  // A token is good where the public URL is the same.
  const common = { ...env, BERTH_PUBLIC_URL: `http://localhost:${port}` };
  const { tokens } = await fillData(common, sizes);
  mkdirSync(second);
  // Each has a lock of its own; SQLite follows the link, so that both have one file, one log and one index of it.
  for (const name of ["gateway.sqlite", "keys"]) symlinkSync(join(dir, name), join(second, name));
  const gateways = [
    await createGateway(dir, port, { ...common, BERTH_PORT: String(port) }),
    await createGateway(second, other, { ...common, BERTH_PORT: String(other), BERTH_DATA_DIR: second }),
  ];
  try {
    for (const gateway of gateways) await gateway.start();
    const call = async (gateway: number, user: number, init: RequestInit = {}) => {
      const headers = { authorization: `Bearer ${tokens[user]}`, "content-type": "application/json" };
      return fetch(`${gateways[gateway]!.url}/v1/agents?limit=200`, { headers, ...init });
    };
    const failed: number[] = [];
    let unseen = 0;
    const times: number[] = [];
    await Promise.all(
      tokens.map(async (_token, user) => {
        for (let at = 0; at < each; at++) {
          const body = JSON.stringify({ name: `agent ${at}` });
          times.push(
            await timed(async () => {
              const { status } = await call(at % 2, user, { method: "POST", body });
              if (status !== 201) failed.push(status);
            }),
          );
          // Read through the other one.
          const { items } = (await (await call((at + 1) % 2, user)).json()) as { items: unknown[] };
          if (items.length !== at + 2) unseen += 1;
        }
      }),
    );
    const figures: Figure[] = [
      {
        name: "agents created through two gateways",
        ours: times.length - failed.length,
        unit: "",
        target: { bound: writers * each, from: "below" },
      },
      { name: "not seen at once through the other", ours: unseen, unit: "", target: { bound: 0 } },
      { name: "create an agent, p50", ours: percentile(times, 50), unit: "ms" },
      { name: "create an agent, p99", ours: percentile(times, 99), unit: "ms" },
    ];
    return { figures, facts: { failed } };
  } finally {
    for (const gateway of gateways) await gateway.kill("SIGTERM");
    rmSync(dir, { recursive: true, force: true });
  }
}
