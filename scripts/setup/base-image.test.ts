import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import Docker from "dockerode";
import { afterEach, expect, test } from "vitest";
import { ensureBase } from "./base-image.ts";

let server: Server;
afterEach(() => server.close());

/** An engine that has these images, by name, each with its digests. */
async function engineWith(images: Record<string, string[] | null>): Promise<Docker> {
  server = createServer(({ url }, response) => {
    const name = Object.keys(images).find((one) => url!.includes(`/images/${one}`));
    response.writeHead(name === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(name === undefined ? { message: "no such image" } : { RepoDigests: images[name] }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return new Docker({ protocol: "http", host: "127.0.0.1", port: (server.address() as AddressInfo).port });
}
const baseOf = async (images: Parameters<typeof engineWith>[0]) =>
  ensureBase(await engineWith(images), ["git"], join(import.meta.dirname, "../../host-agent/image/trim"));

test("the base is the digest that a registry gave, or what the tag means where none did", async () => {
  const digest = `debian@sha256:${"a".repeat(64)}`;
  const ofDigest = { name: digest, hasPackages: false };
  expect(await baseOf({ "debian:bookworm-slim": ["mirror.example/debian@sha256:b", digest] })).toEqual(ofDigest);
  const ofTag = { name: "debian:bookworm-slim", hasPackages: false };
  expect(await baseOf({ "debian:bookworm-slim": [] })).toEqual(ofTag);
  expect(await baseOf({ "debian:bookworm-slim": null })).toEqual(ofTag);
});

test("one that was bootstrapped has all packages", async () => {
  expect(await baseOf({ "berth-base": null })).toMatchObject({ hasPackages: true });
});
