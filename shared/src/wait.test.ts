import { expect, test } from "vitest";
import { sleep } from "./wait.ts";

test("a pause that is over before it begins lets others have their turn, and Node says nothing of it", async () => {
  const warnings: string[] = [];
  const warn = ({ name }: Error) => warnings.push(name);
  process.on("warning", warn);
  let hadTurn = false;
  setImmediate(() => (hadTurn = true));
  await sleep(-200);
  await sleep(1);
  process.off("warning", warn);
  expect(warnings).toEqual([]);
  expect(hadTurn).toBe(true);
});
