import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseSettings } from "@berth/shared/settings";
import { connectEngine } from "./engine.ts";

test.each([
  ["1.47", "1.24", "v1.47"],
  ["1.43", "1.24", "v1.43"],
  ["1.60", "1.44", "v1.47"],
  ["1.60", "1.52", "v1.52"],
])(
  "an engine that speaks API %s and no less than %s is spoken to in %s",
  async (ApiVersion, MinAPIVersion, expected) => {
    const dir = mkdtempSync(join(tmpdir(), "berth-engine-"));
    const paths: string[] = [];
    const server = createServer((request, response) => {
      paths.push(request.url!);
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(request.url === "/version" ? { ApiVersion, MinAPIVersion } : { Id: "sha256:1" }));
    }).listen(join(dir, "docker.sock"));
    await once(server, "listening");
    const engine = await connectEngine(`unix://${dir}/docker.sock`);
    expect(await engine.imageId("berth")).toBe("sha256:1");
    expect(paths.at(-1)).toBe(`/${expected}/images/berth/json`);
    server.close();
    rmSync(dir, { recursive: true });
  },
);

test("an engine on another machine is refused with a sentence", () => {
  expect(() => parseSettings({ DOCKER_HOST: "tcp://10.0.0.1:2375" })).toThrow(
    "must be the socket of an engine on this machine",
  );
  expect(parseSettings({ DOCKER_HOST: "unix:///run/docker.sock" }).DOCKER_HOST).toBe("unix:///run/docker.sock");
});
