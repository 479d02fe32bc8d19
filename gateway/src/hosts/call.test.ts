import { AppError } from "@berth/shared/errors";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, test } from "vitest";
import { hostUnavailable, isUncertain } from "./call.ts";

/** What `fetch` says of a call to this address. */
const failureOf = (url: string) => fetch(url).then(() => expect.unreachable(), hostUnavailable);

test("a host may have what it was asked for unless it said no, or nobody took the connection", async () => {
  const server = createServer((socket) => socket.once("data", () => socket.destroy())).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect(isUncertain(await failureOf(url))).toBe(true);
  server.close();
  await once(server, "close");
  expect(isUncertain(await failureOf(url))).toBe(false);
  const uncertain = (
    ["host_unavailable", "internal", "conflict", "agent_busy", "run_limit", "not_found"] as const
  ).filter((code) => isUncertain(new AppError(code, "-")));
  expect(uncertain).toEqual(["host_unavailable", "internal", "conflict"]);
});
