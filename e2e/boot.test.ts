/**
 * Both processes as units of a real systemd, installed as docs/install.md says, on a machine that reboots and loses its power. Its
 * data lies on a disk of its own, which comes late, as its network does.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../gateway/test/wait.ts";
import { answers } from "../scripts/processes/own-process.ts";
import { root } from "../scripts/setup/image.ts";
import { type BootedMachine, makeMachine } from "./engines/booted-machine.ts";
import { makeJoinToken } from "./harness/harness.ts";
import { type Kept, leaveSomething } from "./harness/kept.ts";
import { openUsers } from "./harness/users.ts";

let machine: BootedMachine;
let kept: Kept;

const dataDisk = `truncate -s 4G /data.img; mkfs.ext4 -q /data.img; mkdir /var/lib/berth
  cat > /etc/systemd/system/slow-disk.service <<'END'
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sleep 4
END
  echo '/data.img /var/lib/berth ext4 loop,nofail,x-systemd.requires=slow-disk.service 0 0' > /etc/fstab
  systemctl daemon-reload; systemctl start var-lib-berth.mount`;

beforeAll(async () => {
  machine = await makeMachine("berth-workspace");
  const url = `http://${machine.address}:8080`;
  await machine.boot();
  machine.plugIn();
  machine.run(dataDisk);
  machine.run(`printf 'BERTH_LISTEN=${machine.address}\nBERTH_DISK_BYTES=268435456\nBERTH_AHEAD=0\n' > .env`);
  machine.run(readInstall());
  await until(() => answers(`${url}/healthz`), "the gateway serves");
  const cli = (command = "", ...args: string[]) => machine.run(`npm run -s ${command} -- ${args.join(" ")}`);
  const { harness, client } = openUsers(url, cli);
  const settings = `BERTH_GATEWAY_URL=${url}\nBERTH_JOIN_TOKEN=${await makeJoinToken(harness)}\n`;
  machine.run(`printf '${settings}' >> .env; systemctl enable --now berth-host`);
  await until(() => answers(`${url}/readyz`), "gateway and host are ready");
  kept = await leaveSomething(await client("alice"));
});
afterAll(() => machine?.close());

/** The commands that make services of them, as an operator reads them. */
function readInstall(): string {
  const [, commands] = /^## As a service$[^]*?^```sh$([^]*?)^```$/m.exec(
    readFileSync(join(root, "docs/install.md"), "utf8"),
  )!;
  return commands!;
}

const isThere = (lostRunId?: string) =>
  kept.isThere(lostRunId).catch((error: Error) => {
    throw new Error(`${error.message}\n${machine.log().slice(-8000)}`);
  });

/** Whether a unit runs, and how often it was started again in this boot. */
const stateOf = (unit: string) => {
  const [state, restarts] = machine
    .run(`for each in ActiveState NRestarts; do systemctl show --value -p $each ${unit}; done`)
    .split("\n");
  return { state, restarts: Number(restarts) };
};

test.each(["berth-gateway", "berth-host"])("%s is started once its disk of data is there", (unit) => {
  expect(machine.run(`systemctl show --value -p After ${unit}`)).toContain("var-lib-berth.mount");
});

test.each(["shutDown", "powerOff"] as const)(
  "after %s everything is there, and what ran has ended as lost",
  async (end) => {
    const lost = await kept.beginEndless();
    await machine[end]();
    await machine.boot();
    machine.plugIn();
    await isThere(lost);
    expect(machine.run("grep -c ^/dev/loop.*/var/lib/berth/host/mnt /proc/mounts")).toBe("1");
    expect(stateOf("berth-host")).toEqual({ state: "active", restarts: 0 });
  },
);

test("an engine that does not start and a network that is late are waited for, however long", async () => {
  machine.run(`mkdir -p /etc/systemd/system/docker.service.d
    printf '[Service]\nExecStartPre=/bin/sh -c "test ! -e /broken"\n' > /etc/systemd/system/docker.service.d/broken.conf; touch /broken`);
  await machine.powerOff();
  await machine.boot();
  for (const unit of ["berth-gateway", "berth-host"])
    await until(() => stateOf(unit).restarts > 0 || stateOf(unit).state === "failed", `${unit} could not start`);
  machine.plugIn();
  machine.run("rm /broken; systemctl reset-failed docker.service docker.socket; systemctl start docker");
  await isThere();
});
