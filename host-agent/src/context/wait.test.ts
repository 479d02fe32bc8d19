import { expect, test } from "vitest";
import { createLatch } from "./wait.ts";

test("a time that is past is over in the next turn, and no warning of the runtime", async () => {
  const warnings: string[] = [];
  const note = ({ name }: Error) => void warnings.push(name);
  process.on("warning", note);
  expect(await createLatch().next(-500)).toBe(false);
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", note);
  expect(warnings).toEqual([]);
});
