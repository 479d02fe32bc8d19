import { expect, test } from "vitest";
import type { HostClaims } from "@berth/shared/host-api";
import { createClock } from "../context/clock.ts";
import { createStreams } from "./open-streams.ts";

const claims = { sub: "usr_1", tid: "tok_1", texp: 4e9 } as HostClaims;

test("a silent gateway closes the streams once, and no new one is taken until it speaks", () => {
  const streams = createStreams(createClock());
  const closed: string[] = [];
  const open = () => {
    const unregister = streams.add(claims, (cause) => {
      closed.push(cause);
      unregister();
    });
  };
  open();
  open();
  for (const isNow of [false, false, false]) streams.vouch(isNow);
  expect(closed).toEqual(["unvouched", "unvouched"]);
  expect(open).toThrow(expect.objectContaining({ code: "host_unavailable" }));
  expect(streams.count()).toBe(0);
  streams.vouch(true);
  open();
  expect([streams.count(), closed.length]).toEqual([1, 2]);
});

test("a user has a hundred at most, and takes none from another", () => {
  const streams = createStreams(createClock());
  const unregister = Array.from({ length: 100 }, () => streams.add(claims, () => {}));
  expect(() => streams.add(claims, () => {})).toThrow(expect.objectContaining({ code: "rate_limited" }));
  streams.add({ ...claims, sub: "usr_2" }, () => {});
  unregister[0]!();
  streams.add(claims, () => {});
  expect(streams.count()).toBe(101);
});
