import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { createAdmission } from "./admission.ts";

test("one network never has more places than are free, and a place is given back once", async () => {
  const admit = createAdmission();
  const socket = new PassThrough();
  const takeAll = async (network: string) => {
    const taken: (() => void)[] = [];
    for (let leave = await admit("reports", network, socket); leave; leave = await admit("reports", network, socket))
      taken.push(leave);
    return taken;
  };
  const first = await takeAll("a");
  expect([first.length, (await takeAll("b")).length]).toEqual([16, 8]);
  for (const leave of [...first, ...first]) leave();
  expect(await takeAll("c")).toHaveLength(12);
  expect(await admit("tickets", "a", socket)).not.toBeNull();
});

test("who has left takes no place", async () => {
  const admit = createAdmission();
  for (let at = 0; at < 100; at++) {
    const socket = new PassThrough();
    const asked = admit("reports", "a", socket);
    socket.destroy();
    expect(await asked).toBeNull();
  }
  expect(await admit("reports", "a", new PassThrough())).not.toBeNull();
});
