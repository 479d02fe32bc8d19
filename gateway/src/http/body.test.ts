import { expect, test } from "vitest";
import { readBody } from "./body.ts";

const request = (body: BodyInit) =>
  new Request("http://localhost/", { method: "POST", body, duplex: "half" } as object);

test("a body that never ends is given up after its time", async () => {
  const never = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1)), type: "bytes" });
  const stalled = new ReadableStream({});
  await expect(readBody(request(stalled), 100, 50)).rejects.toThrow("did not come whole");
  await expect(readBody(request(never), 100, 10_000)).rejects.toThrow("over 100 bytes");
});

test("a body of the bound passes, one byte more does not", async () => {
  expect((await readBody(request("x".repeat(100)), 100)).length).toBe(100);
  await expect(readBody(request("x".repeat(101)), 100)).rejects.toThrow("over 100 bytes");
});
