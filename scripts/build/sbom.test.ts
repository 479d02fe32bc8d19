import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../setup/image.ts";

test("the command of SECURITY.md lists what Berth is made of, with versions", () => {
  const [, command = ""] = /^(npm sbom .+)$/m.exec(readFileSync(join(root, "SECURITY.md"), "utf8"))!;
  const [program = "", ...args] = command.replace(/ >.*$/, "").split(" ");
  const { components } = JSON.parse(execFileSync(program, args, { cwd: root, maxBuffer: 2 ** 26 }).toString()) as {
    components: { name: string; version: string }[];
  };
  expect(components).toContainEqual(expect.objectContaining({ name: "hono", version: expect.stringMatching(/^\d/) }));
  expect(components.filter(({ version }) => !version)).toEqual([]);
});
