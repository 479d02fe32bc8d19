import { createServer } from "node:http";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { importJWK, jwtVerify } from "jose";
import type { JoinBody } from "@berth/shared/host-api";
import { createLog } from "@berth/shared/log";
import { parseSettings } from "@berth/shared/settings";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openIdentity } from "./identity.ts";

let dir: string;
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), "berth-identity-"))));
afterEach(() => rmSync(dir, { recursive: true }));

/** A gateway that joins hosts, or hears them and is cut off before it answers. */
async function startGateway() {
  const asked: JoinBody[] = [];
  const killed = new AbortController();
  const state = { asked, killed, isCutOff: false };
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    asked.push(JSON.parse(body) as JoinBody);
    if (state.isCutOff) return killed.abort();
    response.setHeader("content-type", "application/json").end('{"hostId":"hst_1","issuer":"berth"}');
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const settings = (token: string) => parseSettings({ BERTH_GATEWAY_URL: url, BERTH_JOIN_TOKEN: token });
  const log = createLog(() => {});
  const open = (token: string, signal = new AbortController().signal) =>
    openIdentity(settings(token), dir, log, signal);
  const close = () => (server.closeAllConnections(), server.close());
  return Object.assign(state, { open, close });
}

test("a host that was killed while it joined asks again with the same key, and with another token by another", async () => {
  const gateway = await startGateway();
  gateway.isCutOff = true;
  await expect(gateway.open("token-1", gateway.killed.signal)).rejects.toThrow();
  gateway.isCutOff = false;
  const identity = await gateway.open("token-1");
  expect(gateway.asked[1]).toEqual(gateway.asked[0]);
  expect(gateway.asked[0]!.publicKey).not.toHaveProperty("d");
  await jwtVerify(await identity.sign(Date.now()), await importJWK(gateway.asked[0]!.publicKey, "EdDSA"));
  expect(readdirSync(dir)).toEqual(["host.json"]);
  expect(statSync(join(dir, "host.json")).mode & 0o077).toBe(0);
  expect(JSON.parse(readFileSync(join(dir, "host.json"), "utf8"))).toMatchObject({ hostId: "hst_1" });

  rmSync(join(dir, "host.json"));
  await gateway.open("token-2");
  expect(gateway.asked[2]!.publicKey).not.toEqual(gateway.asked[0]!.publicKey);
  gateway.close();
});

test("one signature is shown for some seconds, and another once the clock is elsewhere", async () => {
  const gateway = await startGateway();
  const identity = await gateway.open("token-1");
  const now = Date.now();
  const [first, soon, later, before] = await Promise.all(
    [0, 9999, 10_000, -30_000].map((ms) => identity.sign(now + ms)),
  );
  expect([soon, new Set([first, later, before]).size]).toEqual([first, 3]);
  gateway.close();
});
