import { describe, expect, test } from "vitest";
import { directoryBelow, nameOfRepository, repositoryUrl } from "./values.ts";

const messageOf = (schema: typeof directoryBelow, text: string) => schema.safeParse(text).error?.issues[0]?.message;

describe("a directory", () => {
  test.each(["app", "web/app", "한글", "a b", "-n", ".config", "..."])("may be %s", (path) => {
    expect(messageOf(directoryBelow, path)).toBeUndefined();
  });

  test.each([
    "",
    "/",
    "/etc",
    "..",
    ".",
    "a/..",
    "../b",
    "a//b",
    "a/",
    "a/./b",
    "a\nb",
    "a\0",
    ".berth",
    ".berth/tmp",
    "x".repeat(256),
    "x/".repeat(600),
  ])("may not be %j", (path) => {
    expect(messageOf(directoryBelow, path)).toBeDefined();
  });
});

describe("a repository's address", () => {
  test.each([
    ["https://github.com/org/name.git", "name"],
    ["https://gitlab.example.com:8443/group/sub/name/", "name"],
    ["https://dev.azure.com/org/my%20project/_git/my%20name", "my name"],
    ["https://host/a%2Fb.git", "a-b"],
    ["https://[::1]/name", "name"],
  ])("%s is cloned into %s", (url, name) => {
    expect([messageOf(repositoryUrl, url), nameOfRepository(url)]).toEqual([undefined, name]);
  });

  test.each([
    ["http://github.com/org/name", /https/],
    ["git@github.com:org/name.git", /https/],
    ["ssh://git@github.com/org/name", /https/],
    ["https://github.com/org/name?x=1", /https/],
    ["https://github.com/org/na me", /https/],
    ['https://github.com/org/na"me', /https/],
    ["https://user:token@github.com/org/name", /git credential/],
    ["https://token@github.com/org/name", /git credential/],
    ["https://github.com", /name of a repository/],
    ["https://github.com/.git", /name of a repository/],
    ["https://github.com/org/%2e%2e", /name of a repository/],
    ["https://github.com/org/%zz", /name of a repository/],
    ["https://github.com/.berth", /name of a repository/],
  ])("may not be %s", (url, message) => {
    expect(messageOf(repositoryUrl, url)).toMatch(message);
  });
});
