import * as fc from "fast-check";
import { expect, test } from "vitest";
import { parseSettings, SettingsError, variables } from "./settings.ts";

test("any text in any variable is a setting or one sentence that names it", () => {
  const names = Object.keys(variables) as (keyof typeof variables)[];
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.string({ unit: "binary" }), (name, value) => {
      try {
        parseSettings({ [name]: value });
      } catch (error) {
        expect(error).toBeInstanceOf(SettingsError);
        expect((error as Error).message).toMatch(/^(BERTH_|DOCKER_|ANTHROPIC_)[A-Z_]+ [^\n]+\.$/);
      }
    }),
    { numRuns: 2000 },
  );
});

test.each([
  ["BERTH_PORT", 1, 65_535],
  ["BERTH_MAX_RUNS", 1, 100],
  ["BERTH_LOG_BYTES", 4096, 2 ** 40],
  ["BERTH_RETENTION_DAYS", 1, 36_500],
] as const)("%s takes its bounds and nothing beyond", (name, least, most) => {
  for (const value of [least, least + 1, most - 1, most])
    expect(parseSettings({ [name]: String(value) })[name]).toBe(value);
  for (const value of [least - 1, most + 1, " 1", "1e3", "0x10", "1.0", "١"])
    expect(() => parseSettings({ [name]: String(value) })).toThrow(SettingsError);
});

test("the public address is an origin: a path, a query or a user in it would be in no link, and a capital letter in no cookie", () => {
  const read = (url: string) => parseSettings({ BERTH_PUBLIC_URL: url }).BERTH_PUBLIC_URL;
  expect(["https://berth.example.com/", "HTTPS://Berth.Example.com:443", "http://10.0.0.7:8080"].map(read)).toEqual([
    "https://berth.example.com",
    "https://berth.example.com",
    "http://10.0.0.7:8080",
  ]);
  for (const url of [
    "https://example.com/berth",
    "https://a.example/?b",
    "https://a@b.example",
    "https://a.example/#b",
  ])
    expect(() => read(url)).toThrow("must be scheme, name and port alone");
});

test("an unknown variable of ours stops the start, another's does not", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[A-Z_]{1,20}$/), (rest) => {
      const isKnown = `BERTH_${rest}` in variables;
      if (!isKnown) expect(() => parseSettings({ [`BERTH_${rest}`]: "1" })).toThrow("is not a setting of Berth");
      expect(() => parseSettings({ [`X${rest}`]: "1" })).not.toThrow();
    }),
  );
});
