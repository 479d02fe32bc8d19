import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { collect } from "./collect.ts";

test("a stream of as much as it may be is collected, and one of a byte more is let go of", async () => {
  const stream = () => Readable.from([Buffer.from("ab"), Buffer.from("cd")]);
  expect((await collect(stream(), 4))?.toString()).toBe("abcd");
  const long = stream();
  expect(await collect(long, 3)).toBeNull();
  expect(long.destroyed).toBe(true);
});
