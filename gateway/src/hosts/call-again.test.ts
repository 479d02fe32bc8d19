import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { createTestApp } from "../../test/app.ts";
import { joinTestHost } from "../../test/host.ts";
import { until } from "../../test/wait.ts";
import { placeUser } from "./placement.ts";

/** Ports at which who connects is never answered, and who has connected. */
async function listenSilently(count: number): Promise<{ ports: number[]; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const ports: number[] = [];
  for (let nth = 0; nth < count; nth++) {
    const silent = createServer((socket) => void sockets.push(socket.on("error", () => undefined).resume()));
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    ports.push((silent.address() as AddressInfo).port);
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
  }
  return { ports, sockets };
}

test.each([
  { addresses: 1, how: "however often it reports" },
  { addresses: 6, how: "whatever address it names" },
])("a host that is not reached is called again by one call at a time, $how", async ({ addresses }) => {
  const gateway = await createTestApp();
  const host = await joinTestHost(gateway);
  const { id, token } = await gateway.addUser("caller");
  await placeUser(gateway.deps, id);
  const { ports, sockets } = await listenSilently(addresses);
  onTestFinished(async () => {
    await host.close();
    await gateway.close();
  });
  await host.report({ url: host.url.replace(/\d+$/, "9") });
  await gateway.call("POST", "/v1/workspace/start", { token });
  let nth = 0;
  const report = () => host.report({ url: host.url.replace(/\d+$/, String(ports[nth++ % addresses])) });
  await until(async () => (await report()) && sockets.length > 0, "it is called there");
  for (let more = 0; more < 6; more++) await report();
  // Whatever was begun before has come before these.
  const mine = ports.map((port) => connect(port, "127.0.0.1"));
  await Promise.all(mine.map((socket) => once(socket, "connect")));
  await expect.poll(() => sockets.filter(({ destroyed }) => !destroyed).length).toBe(1 + addresses);
});
