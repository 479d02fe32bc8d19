import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { createTestApp } from "../../test/app.ts";
import { joinTestHost } from "../../test/host.ts";
import { until } from "../../test/wait.ts";
import { placeUser } from "./placement.ts";

/** A call as the host sees it, on `performance.now()`. */
interface Connection {
  openedAt: number;
  closedAt: number | null;
}
/** A call that nobody answers and nobody ends goes on for 15 s: one that is ended for the next is soon gone, on a busy machine too. */
const longMs = 7000;

/** Ports at which who connects is never answered, and who has connected. */
async function listenSilently(count: number): Promise<{ ports: number[]; connections: Connection[] }> {
  const connections: Connection[] = [];
  const ports: number[] = [];
  for (let nth = 0; nth < count; nth++) {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => {
      const connection: Connection = { openedAt: performance.now(), closedAt: null };
      connections.push(connection);
      sockets.push(socket.on("error", () => undefined).resume());
      socket.on("close", () => (connection.closedAt = performance.now()));
    });
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    ports.push((silent.address() as AddressInfo).port);
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
  }
  return { ports, connections };
}

test.each([
  { addresses: 1, how: "however often it reports" },
  { addresses: 6, how: "whatever address it names" },
])("a host that is not reached is called again by one call at a time, $how", async ({ addresses }) => {
  const gateway = await createTestApp();
  const host = await joinTestHost(gateway);
  const { id, token } = await gateway.addUser("caller");
  await placeUser(gateway.deps, id);
  const { ports, connections } = await listenSilently(addresses);
  onTestFinished(async () => {
    await host.close();
    await gateway.close();
  });
  await host.report({ url: host.url.replace(/\d+$/, "9") });
  await gateway.call("POST", "/v1/workspace/start", { token });
  let nth = 0;
  const report = () => host.report({ url: host.url.replace(/\d+$/, String(ports[nth++ % addresses])) });
  await until(async () => (await report()) && connections.length > 0, "it is called there");
  for (let more = 0; more < 6; more++) await report();
  // Whatever was begun before has come before these.
  const mine = ports.map((port) => connect(port, "127.0.0.1").on("error", () => undefined));
  await Promise.all(mine.map((socket) => once(socket, "connect")));
  const calls = connections.slice(0, connections.length - addresses);
  await expect.poll(() => calls.filter(({ closedAt }) => closedAt === null).length).toBeLessThanOrEqual(1);
  const beside = calls.slice(1).map(({ openedAt }, nth) => (calls[nth]!.closedAt ?? Infinity) - openedAt);
  expect(beside.filter((ms) => ms > longMs)).toEqual([]);
});
