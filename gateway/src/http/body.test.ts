import * as fc from "fast-check";
import { expect, test } from "vitest";
import { readBody, readJson } from "./body.ts";

const request = (body: BodyInit, headers: Record<string, string> = {}) =>
  new Request("http://localhost/", { method: "POST", body, headers, duplex: "half" } as object);
const streamOf = (chunks: Uint8Array[]) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });

test("a body that never ends is given up after its time", async () => {
  const never = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1)), type: "bytes" });
  const stalled = new ReadableStream({});
  await expect(readBody(request(stalled), 100, 50)).rejects.toThrow("did not come whole");
  await expect(readBody(request(never), 100, 10_000)).rejects.toThrow("over 100 bytes");
});

test("a body is read whole up to its bound and refused beyond, in whatever pieces it comes", async () => {
  const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 60 }), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(pieces, fc.integer({ min: -4, max: 4 }), fc.boolean(), async (chunks, off, isSaid) => {
      const whole = Buffer.concat(chunks);
      const bound = Math.max(0, whole.length + off);
      const body = isSaid
        ? request(new Uint8Array(whole), { "content-length": String(whole.length) })
        : request(streamOf(chunks));
      const read = await readBody(body, bound).catch((error: unknown) => error);
      if (whole.length <= bound) expect(read).toEqual(new Uint8Array(whole));
      else expect(read).toMatchObject({ code: "payload_too_large" });
    }),
    { numRuns: 200 },
  );
});

test("any bytes as JSON are a value or one refusal, in whatever pieces they come", async () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.json().map((text) => new TextEncoder().encode(text)),
  );
  await fc.assert(
    fc.asyncProperty(bytes, fc.nat(), async (content, cut) => {
      const at = cut % (content.length + 1);
      const parts = [content.subarray(0, at), content.subarray(at)].filter(({ length }) => length > 0);
      const json = { "content-type": "application/json; charset=utf-8" };
      const read = await readJson(request(streamOf(parts), json), { bytes: 1000, values: 1000 }).catch(
        (error: unknown) => error,
      );
      let expected: unknown;
      try {
        expected = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
      } catch {
        expect(read).toMatchObject({ code: "invalid_request" });
        return;
      }
      expect(read).toEqual(expected);
    }),
    { numRuns: 500 },
  );
});

test("a body of more keys and values than its bound, or of more depth, is refused before it is parsed", async () => {
  const read = (body: string) => {
    const headers = { "content-type": "application/json" };
    return readJson(new Request("http://localhost/", { method: "POST", headers, body }), {
      bytes: 2 ** 21,
      values: 1000,
    });
  };
  const list = (length: number) => JSON.stringify({ code: Array.from({ length }, () => ({})) });
  expect(await read(list(997))).toHaveProperty("code.length", 997);
  const parse = JSON.parse;
  let parsed = 0;
  JSON.parse = (...values) => {
    parsed += 1;
    return parse(...values) as unknown;
  };
  try {
    await expect(read(list(998))).rejects.toMatchObject({ code: "payload_too_large" });
    await expect(read(list(690_000))).rejects.toMatchObject({ code: "payload_too_large" });
    await expect(read(`{"a":${"[".repeat(30)}${"]".repeat(30)}}`)).rejects.toMatchObject({ code: "invalid_request" });
    expect(parsed).toBe(0);
  } finally {
    JSON.parse = parse;
  }
});
