/** What the host agent relies on of files and mounts. */
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, watch } from "node:fs";
import { appendFile, truncate, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeDurably } from "@berth/shared/node/durable-file";
import { type ProgramError, runProgram } from "../../src/machine/programs.ts";
import { type Case, codeOf } from "./place.ts";

export const ofFiles: Case[] = [
  {
    name: "a file that is made exclusively is made once",
    answer: ["done", "EEXIST"],
    async ask({ directory }) {
      const path = join(directory(), "one");
      const make = () => closeSync(openSync(path, "wx"));
      return [await codeOf(make), await codeOf(make)];
    },
  },
  {
    name: "what is not there is ENOENT, and removed without harm where that is asked for",
    answer: ["ENOENT", "ENOENT", "ENOENT", "done", undefined],
    async ask({ directory }) {
      const path = join(directory(), "none");
      return [
        await codeOf(() => openSync(path, "r")),
        await codeOf(() => statSync(path)),
        await codeOf(() => renameSync(path, `${path}2`)),
        await codeOf(() => rmSync(path, { force: true })),
        statSync(path, { throwIfNoEntry: false }),
      ];
    },
  },
  {
    name: "a rename takes the place of what was there",
    answer: ["new", "ENOENT"],
    async ask({ directory }) {
      const at = directory();
      await writeFile(join(at, "old"), "old");
      await writeFile(join(at, "draft"), "new");
      renameSync(join(at, "draft"), join(at, "old"));
      return [readFileSync(join(at, "old"), "utf8"), await codeOf(() => statSync(join(at, "draft")))];
    },
  },
  {
    name: "an append-only file is neither cut, nor written anew, nor removed, nor renamed",
    answer: ["EPERM", "EPERM", "EPERM", "EPERM", "done"],
    async ask({ directory }) {
      const path = join(directory(), "log");
      await writeFile(path, "begun\n");
      await runProgram("chattr", "+a", path);
      const codes = [
        await codeOf(() => truncate(path, 0)),
        await codeOf(() => writeFile(path, "x")),
        await codeOf(() => rmSync(path)),
        await codeOf(() => renameSync(path, `${path}2`)),
        await codeOf(() => closeSync(openSync(path, "a"))),
      ];
      await runProgram("chattr", "-a", path);
      return codes;
    },
  },
  {
    name: "an immutable file is not even appended to",
    answer: ["EPERM", "EPERM", "begun\n"],
    async ask({ directory }) {
      const path = join(directory(), "log");
      await writeFile(path, "begun\n");
      await runProgram("chattr", "+i", path);
      const codes = [await codeOf(() => openSync(path, "a")), await codeOf(() => rmSync(path))];
      const text = readFileSync(path, "utf8");
      await runProgram("chattr", "-i", path);
      return [...codes, text];
    },
  },
  {
    name: "room beyond its end is made for a file that is only appended to, and for none that is immutable",
    answer: ["", 5, 1, 5],
    async ask({ directory }) {
      const path = join(directory(), "a log of ö");
      const makeRoom = () => runProgram("fallocate", "-n", "-l", "8192", path);
      await writeFile(path, "begun");
      await runProgram("chattr", "+a", path);
      const made = [await makeRoom(), statSync(path).size];
      await runProgram("chattr", "-a", "+i", path);
      const refused = [await makeRoom().catch(({ exitCode }: ProgramError) => exitCode), statSync(path).size];
      await runProgram("chattr", "-i", path);
      return [...made, ...refused];
    },
  },
  {
    name: "of files whose flags are changed one that is missing is told of, and the others are changed",
    answer: [1, "EPERM", "EPERM", "done"],
    async ask({ directory }) {
      const [one, none, two] = ["one", "none", "two"].map((name) => join(directory(), name)) as [
        string,
        string,
        string,
      ];
      for (const path of [one, two]) await writeFile(path, "");
      const change = await runProgram("chattr", "+i", one, none, two).catch(({ exitCode }: ProgramError) => exitCode);
      const codes = [await codeOf(() => rmSync(one)), await codeOf(() => rmSync(two))];
      await runProgram("chattr", "-i", "-a", one, two);
      return [change, ...codes, await codeOf(() => rmSync(one))];
    },
  },
  {
    name: "a directory is made once, and with all above it where that is asked for",
    answer: ["done", "EEXIST", "done", "done"],
    async ask({ directory }) {
      const at = directory();
      return [
        await codeOf(() => mkdirSync(join(at, "one"))),
        await codeOf(() => mkdirSync(join(at, "one"))),
        await codeOf(() => mkdirSync(join(at, "two/three"), { recursive: true })),
        await codeOf(() => mkdirSync(join(at, "two/three"), { recursive: true })),
      ];
    },
  },
  {
    name: "what is mounted takes the place of its directory, is not let go while something in it is open, and is kept",
    answer: [32, "done", undefined, "kept"],
    async ask({ directory }) {
      const at = directory();
      const [image, point] = [join(at, "image"), join(at, "point")];
      await writeFile(image, "");
      await truncate(image, 2 ** 22);
      await runProgram("mkfs.ext4", "-q", "-F", image);
      mkdirSync(point);
      await runProgram("mount", "-o", "loop", image, point);
      await writeFile(join(point, "file"), "kept");
      const open = openSync(join(point, "file"), "r");
      const refused = await runProgram("umount", point).catch((error: ProgramError) => error.exitCode);
      closeSync(open);
      const letGo = await codeOf(() => runProgram("umount", point));
      const below = statSync(join(point, "file"), { throwIfNoEntry: false });
      await runProgram("mount", "-o", "loop", image, point);
      const text = readFileSync(join(point, "file"), "utf8");
      await runProgram("umount", point);
      return [refused, letGo, below, text];
    },
  },
  {
    name: "a file system that has failed is read, and takes nothing",
    answer: ["EROFS", "EROFS", "EROFS", "EROFS", "EROFS", "before"],
    async ask({ directory, failDisk }) {
      const at = directory();
      const path = join(at, "file");
      await writeFile(path, "before");
      const mend = failDisk();
      try {
        return [
          await codeOf(() => openSync(path, "a")),
          await codeOf(() => openSync(join(at, "new"), "wx")),
          await codeOf(() => mkdirSync(join(at, "directory"))),
          await codeOf(() => renameSync(path, `${path}2`)),
          await codeOf(() => unlink(path)),
          readFileSync(path, "utf8"),
        ];
      } finally {
        mend();
      }
    },
  },
  {
    name: "what is made in a directory is told to who watches it",
    answer: true,
    async ask({ directory, until }) {
      const at = directory();
      const told = new Set<string | null>();
      const watcher = watch(at, (_event, name) => told.add(name));
      // As an event of the engine, a hint: once more until it is told.
      let count = 0;
      await until(async () => {
        await writeFile(join(at, `file${++count}`), "");
        return told.size > 0;
      });
      watcher.close();
      return [...told].every((name) => name!.startsWith("file"));
    },
  },
  {
    name: "what was written durably is whole after a power cut, and what was appended since is lost at most by itself",
    answer: ["first", "second", true],
    async ask({ directory, crash }) {
      const path = join(directory(), "file");
      writeDurably(path, "first");
      crash();
      const first = readFileSync(path, "utf8");
      writeDurably(path, "second");
      crash();
      const second = readFileSync(path, "utf8");
      await appendFile(path, ", third");
      crash();
      return [first, second, ["second", "second, third"].includes(readFileSync(path, "utf8"))];
    },
  },
  {
    name: "a file that has begun a block fills it on a disk without room",
    answer: ["done", "\nbegun\n"],
    async ask({ fullDirectory }) {
      const path = join(await fullDirectory(), "begun");
      return [await codeOf(() => appendFile(path, "begun\n")), readFileSync(path, "utf8")];
    },
  },
  {
    name: "a disk without room takes no more bytes",
    answer: "ENOSPC",
    async ask({ fullDirectory }) {
      const path = join(await fullDirectory(), "more");
      return codeOf(() => writeFile(path, Buffer.alloc(2 ** 20)));
    },
  },
];
