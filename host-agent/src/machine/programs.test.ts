import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ProgramError, runProgram, runWithin } from "./programs.ts";

test("a program gets its arguments as they are, and nothing to read", async () => {
  const odd = ["", "two words", "a'b", "$HOME `x` \\", "line\nbreak", "*", "🙂"];
  expect(JSON.parse(await runProgram("node", "-p", "JSON.stringify(process.argv.slice(1))", "--", ...odd))).toEqual(
    odd,
  );
  expect(await runProgram("cat")).toBe("");
});

test("what a program says on its way to another exit code is told", async () => {
  const failed = runProgram("sh", "-c", "echo first; echo second >&2; exit 3");
  await expect(failed).rejects.toThrow("sh ended with 3: first second");
  await expect(failed).rejects.toMatchObject({ exitCode: 3 });
  await expect(runProgram("no-such-program")).rejects.toThrow(ProgramError);
  await expect(runProgram("sh", "-c", "seq 100000; exit 1")).rejects.toThrow(/^.{1000,2100}$/);
});

test("many run at once, each with its own answer", async () => {
  const numbers = Array.from({ length: 60 }, (_, at) => String(at));
  expect(await Promise.all(numbers.map((number) => runProgram("echo", number)))).toEqual(numbers);
});

test("none of them stays behind as a zombie of the helper, however many there were", async () => {
  const helper = await helperPid();
  const zombies = () =>
    readdirSync("/proc").filter((pid) => {
      try {
        return /^\d+$/.test(pid) && statOf(pid)[1] === helper && statOf(pid)[0] === "Z";
      } catch {
        return false;
      }
    });
  for (let round = 0; round < 3; round++) await Promise.all(Array.from({ length: 30 }, () => runProgram("true")));
  await expect.poll(async () => (await runProgram("true"), zombies().length)).toBeLessThan(5);
});

/** State and parent. */
const statIn = (stat: string) => /^\d+ \(.*\) (\w) (\d+)/s.exec(stat)!.slice(1);
const statOf = (pid: string) => statIn(readFileSync(`/proc/${pid}/stat`, "utf8"));
/** The parent of a job's own process, which waits for its program. */
const helperPid = async () => statIn(await runProgram("sh", "-c", "cat /proc/$PPID/stat"))[1]!;

test("a job of a helper that is killed is finished, one that it had not read fails, and the next one has a new helper", async () => {
  const job = runProgram("sh", "-c", "sleep 1; echo done");
  const helper = await helperPid();
  process.kill(Number(helper), "SIGSTOP");
  const unread = runProgram("echo", "lost");
  process.kill(Number(helper), "SIGKILL");
  await expect(unread).rejects.toThrow("the helper for programs ended with SIGKILL");
  expect(await job).toBe("done");
  expect(await runProgram("echo", "again")).toBe("again");
});

test("one that hangs is given up, and holds up no other", async () => {
  const hung = runWithin(300, "sleep", "5");
  expect(await runProgram("echo", "beside")).toBe("beside");
  await expect(hung).rejects.toThrow("sleep has not ended in 0.3 s");
});

test("one that goes through a file system is killed when it is given up, so that the next one does not meet it", async () => {
  const dir = mkdtempSync(join(tmpdir(), "berth-programs-"));
  const fifo = join(dir, "fifo");
  await runProgram("mkfifo", fifo);
  const arguments_ = ["-r", fifo, "/dev/null"];
  const isThere = () =>
    readdirSync("/proc").some((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "latin1").startsWith(`e2image\0-r\0${fifo}`);
      } catch {
        return false;
      }
    });
  const hung = runWithin(1000, "e2image", ...arguments_).catch((error: unknown) => error);
  await expect.poll(isThere).toBe(true);
  expect(await hung).toBeInstanceOf(Error);
  await expect.poll(isThere).toBe(false);
  rmSync(dir, { recursive: true });
});

test("without a descriptor left it fails with the reason, and works again once there is one", () => {
  const script = `
    import { closeSync, openSync } from "node:fs";
    import { runProgram } from ${JSON.stringify(import.meta.resolve("./programs.ts"))};
    const open = [];
    try { for (;;) open.push(openSync("/dev/null")); } catch {}
    console.log(await runProgram("echo", "lost").catch(({ code }) => code));
    open.forEach(closeSync);
    console.log(await runProgram("echo", "again"));
  `;
  const limited = ["-c", 'ulimit -n 60; exec "$0" --input-type=module -e "$1"', process.execPath, script];
  expect(execFileSync("sh", limited, { encoding: "utf8" })).toBe("EMFILE\nagain\n");
});
