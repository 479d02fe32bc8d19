import { expect, test } from "vitest";
import { changesMax } from "@berth/shared/files";
import { readChanges } from "./change-list.ts";

const home = "/workspace/agent-1";
let turns: number;
/** The last of them is the exit code, or what was said of a record when it was cut. */
const read = (said: (string | Buffer)[]) => {
  turns = 0;
  const [records, end] = [said.slice(0, -1), Buffer.from(said.at(-1)!)];
  const terminated = records.flatMap((record) => [Buffer.from(record), Buffer.from([0])]);
  return readChanges(Buffer.concat([...terminated, end]), home, () => Promise.resolve(void turns++));
};
const head = [home, "main", "1".repeat(40)];
const exit = (code: number) => `\0=${code}\0`;
const [oid, nothing] = ["a".repeat(40), "0".repeat(40)];
const difference = (letter: string, modes = "100644 100644") => `:${modes} ${oid} ${nothing} ${letter}`;
const change = (path: string, more: object) => ({
  path,
  from: null,
  status: "modified",
  additions: null,
  deletions: null,
  isBinary: false,
  ...more,
});

test("names of any bytes, renames, binaries and submodules are told with their counts, and what git is to be asked of each", async () => {
  const bad = Buffer.from([0x62, 0xff]);
  const { changes, found } = await read([
    ...head,
    "새 파일\n.txt",
    "nested/",
    "",
    difference("M"),
    "한글\n.txt",
    difference("R087"),
    "old\t",
    ":new",
    difference("M"),
    bad,
    difference("M", "160000 160000"),
    "sub",
    difference("D", "100644 000000"),
    "gone",
    `:000000 100644 ${nothing} ${nothing} A`,
    "새 파일\n.txt",
    `:000000 100644 ${nothing} ${oid} A`,
    "=0",
    "3\t1\t한글\n.txt",
    "2\t0\t",
    "old\t",
    ":new",
    Buffer.concat([Buffer.from("-\t-\t"), bad]),
    "1\t1\tsub",
    "0\t9\tgone",
    "4\t0\t새 파일\n.txt",
    "5\t0\t=0",
    exit(0),
  ]);
  expect(changes).toEqual({
    branch: "main",
    root: "",
    items: [
      change("한글\n.txt", { additions: 3, deletions: 1 }),
      change(":new", { status: "renamed", from: "old\t", additions: 2, deletions: 0 }),
      change("b\u{fffd}", { isBinary: true, additions: 0, deletions: 0 }),
      change("sub", { additions: 1, deletions: 1 }),
      change("gone", { status: "deleted", additions: 0, deletions: 9 }),
      change("새 파일\n.txt", { status: "untracked", additions: 4, deletions: 0 }),
      change("=0", { status: "added", additions: 5, deletions: 0 }),
      change("nested/", { status: "untracked" }),
    ],
    isComplete: true,
    reason: null,
  });
  const asked = ({ before, after }: { before: Buffer; after: Buffer }) => [
    before.toString("latin1"),
    after.toString("latin1"),
  ];
  expect(asked(found.get(":new")!)).toEqual([`100644 ${oid}\told\t\0`, `100644 ${"1".repeat(40)}\t:new\0`]);
  expect(asked(found.get("b\u{fffd}")!)).toEqual([`100644 ${oid}\tb\xff\0`, `100644 ${"1".repeat(40)}\tb\xff\0`]);
  expect(asked(found.get("gone")!)).toEqual([`100644 ${oid}\tgone\0`, ""]);
  expect(asked(found.get("nested/")!)).toEqual(["", ""]);
  const late = (await read([...head, "late", exit(124)])).found.get("late")!;
  expect(asked(late)).toEqual(["", `100644 ${"1".repeat(40)}\tlate\0`]);
});

test.each([
  ["has no repository", [exit(3)], { branch: null, root: null, items: [], reason: "no_repository" }],
  [
    "has a repository elsewhere",
    [`${home}2`, "", "", "", exit(0)],
    { branch: null, root: null, items: [], reason: null },
  ],
  [
    "was read for too long",
    [...head, "a", `cut na${exit(124)}`],
    { items: [change("a", { status: "untracked" })], reason: "took_too_long" },
  ],
  [
    "was ended",
    [...head, "", difference("M"), `a`, `1\t${exit(137)}`],
    { items: [change("a", {})], reason: "took_too_long" },
  ],
  ["cannot be read", [...head, "", exit(128)], { items: [], reason: "unreadable" }],
  ["is cut in a name", [...head, "", difference("R100"), "a", "b"], { items: [], reason: "too_many" }],
  [
    "is cut in a count",
    [...head, "", difference("M"), "a", "1\t2\t"],
    { items: [change("a", {})], reason: "too_many" },
  ],
])("what %s says so", async (_, records, answer) => {
  expect((await read(records)).changes).toMatchObject({ ...answer, isComplete: answer.reason === null });
});

test("100,000 changes are read a piece at a time, and as many told as an answer has, in as many bytes", async () => {
  const names = Array.from({ length: 100_000 }, (_, at) => `file-${at}`);
  const untracked = names.slice(0, 500);
  const differences = names.flatMap((name) => [difference("M"), name]);
  const counts = names.map((name) => `1\t2\t${name}`);
  const { changes } = await read([...head, ...untracked, "", ...differences, ...counts, exit(0)]);
  expect(changes.items).toHaveLength(changesMax);
  expect(changes.items.at(-1)).toEqual(change("file-1999", { additions: 1, deletions: 2 }));
  expect(changes).toMatchObject({ isComplete: false, reason: "too_many" });
  expect(turns).toBeGreaterThan(200);
  const long = Array.from({ length: 1000 }, (_, at) => `${"\u{1}".repeat(4000)}${at}`);
  const cut = (await read([...head, ...long, "", exit(0)])).changes;
  expect(cut).toMatchObject({ isComplete: false, reason: "too_many" });
  expect(JSON.stringify(cut).length).toBeLessThan(7 * 2 ** 20);
});

test("what git never says is refused", async () => {
  const forged = [
    [...head, "", ":100644 100644 x y M", "a", exit(0)],
    [...head, "", difference("X"), "a", exit(0)],
    [...head, "", "1e9\t0\ta", exit(0)],
    [...head, "", "no count", exit(0)],
    [...head, "", difference("M"), "x".repeat(5000), exit(0)],
    [...head, "x".repeat(5000), "", exit(0)],
    [`${home}/${"x".repeat(5000)}`, "main", oid, "", exit(0)],
    [home, "x".repeat(5000), oid, "", exit(0)],
    [home, "main", "1".repeat(4000), "a", "", exit(0)],
    [home, "main", `${oid}g`, "", exit(0)],
  ];
  for (const records of forged) await expect(read(records)).rejects.toMatchObject({ code: "host_unavailable" });
});
