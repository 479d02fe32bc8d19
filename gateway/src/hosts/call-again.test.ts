import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { createTestApp } from "../../test/app.ts";
import { joinTestHost } from "../../test/host.ts";
import { placeUser } from "./placement.ts";

test("a host that is not reached is called again by one call at a time, however often it reports", async () => {
  const gateway = await createTestApp();
  const host = await joinTestHost(gateway);
  const { id, token } = await gateway.addUser("caller");
  await placeUser(gateway.deps, id);
  const sockets: Socket[] = [];
  const silent = createServer((socket) => void sockets.push(socket.on("error", () => undefined)));
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    silent.close();
    await host.close();
    await gateway.close();
  });
  const { port } = silent.address() as AddressInfo;
  await host.report({ url: host.url.replace(/\d+$/, "9") });
  await gateway.call("POST", "/v1/workspace/start", { token });
  for (let nth = 0; nth < 6; nth++) await host.report({ url: host.url.replace(/\d+$/, String(port)) });
  await expect.poll(() => sockets.length).toBe(1);
  // Whatever was begun before has come before this.
  await once(connect(port, "127.0.0.1"), "connect");
  await expect.poll(() => sockets.length).toBe(2);
});
