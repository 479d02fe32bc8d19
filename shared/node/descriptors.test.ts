import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { descriptorLimit, tellFewDescriptors } from "./descriptors.ts";

test("a limit that is too low for the workspaces that may run is told with what to do", () => {
  expect(tellFewDescriptors(13_824, 200)).toBeNull();
  expect(tellFewDescriptors(13_823, 200)).toMatch(/13823 files .* 200 workspaces may need 13824: raise its hard limit/);
  expect(tellFewDescriptors(4096, 20)).toBeNull();
});

test("the limit is the one that this process has", () => {
  const script = `import("${fileURLToPath(new URL("descriptors.ts", import.meta.url))}").then((m) => console.log(m.descriptorLimit()))`;
  const under = (limit: string) =>
    execFileSync("sh", ["-c", `ulimit -n ${limit}; exec "$0" -e "$1"`, process.execPath, script], { encoding: "utf8" });
  expect(Number(under("700"))).toBe(700);
  expect(descriptorLimit()).toBeGreaterThan(700);
});
