/** One gateway and several hosts, each on a machine of its own: all real processes. Any can be killed and started again. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { bundle } from "../../scripts/build/bundle.ts";
import { type Machine, type Machines, mountDisk, startMachines } from "./engines.ts";
import { answers } from "../../scripts/processes/own-process.ts";
import { freePort } from "@berth/shared/node/free-port";
import { createDaemon, type Daemon, makeJoinToken } from "../harness/harness.ts";
import { type ClientOf, openUsers } from "../harness/users.ts";

export interface FleetHost extends Machine {
  agent: Daemon;
  /** Its id at the gateway now. */
  id(): string;
  /** Starts the host agent for the first time, with a new join token. */
  join(more?: Record<string, string>): Promise<void>;
}
export interface Fleet {
  url: string;
  dir: string;
  gatewayDir: string;
  gateway: Daemon;
  hosts: FleetHost[];
  cli(...args: string[]): string;
  client: ClientOf;
  close(): Promise<void>;
}
export interface FleetOptions {
  hosts: number;
  settings?: Record<string, string>;
  /** Sizes of the data disks; with none they are this machine's. */
  hostDiskBytes?: number;
  gatewayDiskBytes?: number;
  /** The address under which a host reaches the gateway, where that is not the gateway's own. */
  gatewayUrlOf?: (host: Machine, gatewayUrl: string) => Promise<string> | string;
}

/** Starts all of it; answers when each host has joined. */
export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const files = await bundle("gateway", "cli", "host");
  const machines = await startMachines(options.hosts, "berth-workspace", options.hostDiskBytes);
  const gatewayDir = join(machines.dir, "gateway");
  if (options.gatewayDiskBytes === undefined) mkdirSync(gatewayDir);
  else mountDisk(gatewayDir, options.gatewayDiskBytes);
  const port = await freePort();
  const url = `http://${machines.gatewayAddress}:${port}`;
  const common = {
    PATH: process.env["PATH"]!,
    HOME: machines.dir,
    BERTH_DISK_BYTES: String(2 ** 28),
    BERTH_POLL_SECONDS: "1",
    ...options.settings,
  };
  const env = {
    ...common,
    BERTH_PORT: String(port),
    BERTH_LISTEN: machines.gatewayAddress,
    BERTH_PUBLIC_URL: url,
    BERTH_DATA_DIR: gatewayDir,
    BERTH_ALLOW_HTTP_HOSTS: "1",
  };
  const gateway = createDaemon("gateway", files.gateway, machines.dir, env, () => answers(`${url}/healthz`));
  const cli = (...args: string[]) =>
    execFileSync(process.execPath, [files.cli, ...args], { env, encoding: "utf8" }).trim();
  try {
    await gateway.start();
    const { harness, client } = openUsers(url, cli);
    const hosts: FleetHost[] = [];
    for (const machine of machines.all) {
      const gatewayUrl = (await options.gatewayUrlOf?.(machine, url)) ?? url;
      const env = { ...common, BERTH_GATEWAY_URL: gatewayUrl };
      hosts.push(createHost(machine, files.host, machines.dir, env, () => makeJoinToken(harness)));
    }
    await Promise.all(hosts.map((host) => host.join()));
    return {
      url,
      dir: machines.dir,
      gatewayDir,
      gateway,
      hosts,
      cli,
      client,
      close: () => closeFleet(machines, gateway, hosts),
    };
  } catch (error) {
    process.stderr.write(gateway.log());
    await machines.close();
    throw error;
  }
}

function createHost(
  machine: Machine,
  file: string,
  dir: string,
  env: Record<string, string>,
  joinToken: () => Promise<string>,
): FleetHost {
  const url = `http://${machine.address}:8081`;
  const settings = {
    ...env,
    DOCKER_HOST: machine.dockerHost,
    BERTH_HOST_NAME: machine.name,
    BERTH_HOST_URL: url,
    BERTH_HOST_DATA_DIR: machine.dataDir,
  };
  const agent = createDaemon(machine.name, file, dir, settings, () => answers(`${url}/healthz`), machine.inside);
  return {
    ...machine,
    agent,
    id: () => (JSON.parse(readFileSync(join(machine.dataDir, "host.json"), "utf8")) as { hostId: string }).hostId,
    join: async (more = {}) => agent.start({ BERTH_JOIN_TOKEN: await joinToken(), ...more }),
  };
}

async function closeFleet(machines: Machines, gateway: Daemon, hosts: FleetHost[]): Promise<void> {
  for (const host of hosts) host.heal();
  await Promise.all([gateway, ...hosts.map(({ agent }) => agent)].map((daemon) => daemon.kill()));
  await machines.close();
}
