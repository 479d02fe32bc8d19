import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import Docker from "dockerode";
import { expect, test } from "vitest";
import { ensureImage, tellOlder } from "./image.ts";

/** What is made of an image that an engine has with these labels. */
async function find(name: string, labels: Record<string, string>): Promise<string> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ Config: { Labels: labels } }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const docker = new Docker({ protocol: "http", host: "127.0.0.1", port: (server.address() as AddressInfo).port });
  try {
    return await ensureImage({ docker, name });
  } finally {
    server.close();
  }
}

test("an image of somebody's own is left alone, and one that is FROM an earlier version of ours is told of", async () => {
  expect(await find("mine", {})).toBe("there");
  expect(await find("mine", { "berth.context": "of an earlier version", "berth.name": "berth-workspace" })).toBe(
    "older",
  );
  expect(tellOlder("mine")).toMatch(/^mine was made FROM an earlier version .+ build mine again\.$/);
});
