import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseSettings, variables } from "@berth/shared/settings";
import { describe, expect, test } from "vitest";

const lines = readFileSync(join(import.meta.dirname, "../../.env.example"), "utf8").split("\n");
const shown = lines.flatMap((line) => {
  const [, name, value] = /^# ([A-Z_]+)=(.*)$/.exec(line) ?? [];
  return name ? [[name, value ?? ""] as const] : [];
});

describe(".env.example", () => {
  test("names every variable once, and no other", () => {
    expect(shown.map(([name]) => name).sort()).toEqual(Object.keys(variables).sort());
  });

  test("shows the defaults", () => {
    expect(parseSettings(Object.fromEntries(shown))).toEqual(parseSettings({}));
  });

  test("shows a value wherever there is a default", () => {
    const defaults = parseSettings({}) as Record<string, unknown>;
    const empty = shown.filter(
      ([name, value]) => value === "" && ![undefined, ""].includes(defaults[name]?.toString()),
    );
    expect(empty).toEqual([]);
  });

  test("sets nothing as it is", () => {
    expect(lines.filter((line) => line !== "" && !line.startsWith("#"))).toEqual([]);
  });
});
