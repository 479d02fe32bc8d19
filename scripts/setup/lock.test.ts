import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, test } from "vitest";
import { withLock } from "./lock.mjs";

const name = `test-${process.pid}`;
const lockModule = join(import.meta.dirname, "lock.mjs");

test("work under one name goes one after the other, and each waiter is told once", async () => {
  const events: string[] = [];
  const work = (id: string) => async () => {
    events.push(`${id} begins`);
    await new Promise(setImmediate);
    events.push(`${id} ends`);
  };
  await Promise.all(["a", "b"].map((id) => withLock(name, work(id), () => events.push("waits"))));
  expect(events.filter((event) => event === "waits")).toHaveLength(1);
  const order = events.filter((event) => event !== "waits");
  expect([order.slice(0, 2), order.slice(2)]).toContainEqual(["a begins", "a ends"]);
});

test("a name is free again when its work fails", async () => {
  await expect(withLock(name, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await withLock(name, () => Promise.resolve("yes"))).toBe("yes");
});

test("a process that was killed holds nothing any more", async () => {
  const program = `const { withLock } = await import(${JSON.stringify(lockModule)});
    await withLock(${JSON.stringify(name)}, () => { console.log("held"); return new Promise(() => setInterval(() => {}, 1000)); });`;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(holder.stdout, "data");
  let waited = false;
  const work = withLock(
    name,
    () => Promise.resolve("mine"),
    () => {
      waited = true;
      holder.kill("SIGKILL");
    },
  );
  expect(await work).toBe("mine");
  expect(waited).toBe(true);
});
