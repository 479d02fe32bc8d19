/**
 * Both processes as services of Compose, by the files of deploy, on a machine that reboots and loses its power. The programs in
 * the containers are the machine's own, for no registry is asked; what else differs is in `adapt`.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../gateway/test/wait.ts";
import { answers } from "../scripts/processes/own-process.ts";
import { root } from "../scripts/setup/image.ts";
import { type BootedMachine, makeMachine } from "./engines/booted-machine.ts";
import { makeJoinToken } from "./harness/harness.ts";
import { type Kept, leaveSomething } from "./harness/kept.ts";
import { openUsers } from "./harness/users.ts";

const services = ["gateway", "host"] as const;
/** Where this machine reaches the gateway, which Compose publishes on 127.0.0.1: as by a proxy in front of it. */
const doorPort = 8090;

let machine: BootedMachine;
let kept: Kept;

const compose = (name: (typeof services)[number], args: string) =>
  machine.run(
    `docker-compose -p berth-${name} -f deploy/compose.${name}.yaml -f deploy/machine.${name}.yaml ${args} 2>/tmp/compose.err ||
      { cat /tmp/compose.err >&2; exit 1; }`,
  );

/** Its network, and the way in from outside. */
function plugIn(): void {
  machine.plugIn();
  machine.run(
    `systemd-run --quiet --unit=door --socket-property=ListenStream=0.0.0.0:${doorPort} /lib/systemd/systemd-socket-proxyd 127.0.0.1:8080`,
  );
}

/**
 * Debian's Compose is 1.29: it has no word for three things that the files say. No process of a machine that is itself in a container has
 * all that `privileged` asks for, so that it is given by name.
 */
function adapt(): void {
  const deploy = join(machine.disk, "adapted");
  mkdirSync(deploy);
  for (const name of services) {
    const file = readFileSync(join(root, `deploy/compose.${name}.yaml`), "utf8");
    const known = file
      .replace(/^name: .*\n/m, "")
      .replace(/^ {4}cgroup: host\n/m, "")
      .replace(", create_host_path: true", "");
    writeFileSync(join(deploy, `compose.${name}.yaml`), known);
    const service = { volumes: ["/usr:/usr:ro"], ...(name === "host" && { privileged: false, ...mighty }) };
    writeFileSync(join(deploy, `machine.${name}.yaml`), JSON.stringify({ services: { [`berth-${name}`]: service } }));
  }
  machine.run("cp /adapted/* deploy; mkdir -p /var/lib/berth/host");
}
const mighty = {
  cap_add: ["ALL"],
  cap_drop: ["SYS_RESOURCE"],
  security_opt: ["seccomp:unconfined", "apparmor:unconfined"],
  device_cgroup_rules: ["a *:* rwm"],
};

beforeAll(async () => {
  machine = await makeMachine("berth-workspace");
  const url = `http://${machine.address}:${doorPort}`;
  await machine.boot();
  plugIn();
  adapt();
  machine.run(
    "tar -C / -c etc root tmp bin sbin lib lib64 | docker import -c 'ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin' - node:24-bookworm",
  );
  machine.run("echo BERTH_ALLOW_HTTP_HOSTS=1 > deploy/gateway.env");
  compose("gateway", "up -d");
  await until(() => answers(`${url}/healthz`), "the gateway serves");
  const cli = (command = "", ...args: string[]) =>
    compose("gateway", `exec -T berth-gateway npm run -s ${command} -- ${args.join(" ")}`);
  const { harness, client } = openUsers(url, cli);
  const settings = {
    BERTH_GATEWAY_URL: "http://127.0.0.1:8080",
    BERTH_HOST_URL: `http://${machine.address}:8081`,
    BERTH_JOIN_TOKEN: await makeJoinToken(harness),
    BERTH_DISK_BYTES: 2 ** 28,
    BERTH_AHEAD: 0,
  };
  machine.run(
    `cat > deploy/host.env <<'END'\n${Object.entries(settings)
      .map(([name, value]) => `${name}=${value}`)
      .join("\n")}\nEND`,
  );
  compose("host", "up -d");
  await until(() => answers(`${url}/readyz`), "gateway and host are ready");
  kept = await leaveSomething(await client("alice"));
});
afterAll(() => machine?.close());

test.each(["shutDown", "powerOff"] as const)(
  "after %s everything is there, and what ran has ended as lost",
  async (end) => {
    const lost = await kept.beginEndless();
    await machine[end]();
    await machine.boot();
    plugIn();
    await kept.isThere(lost).catch((error: Error) => {
      const logs = services.map((name) => compose(name, "logs --no-color --tail 60"));
      throw new Error(`${error.message}\n${logs.join("\n")}\n${machine.log().slice(-4000)}`);
    });
    expect(machine.run("grep -c ^/dev/loop.*/var/lib/berth/host/mnt /proc/mounts")).toBe("1");
    expect(
      machine.run("docker ps --filter label=com.docker.compose.project --format '{{.Names}}'").split("\n"),
    ).toHaveLength(2);
  },
);
