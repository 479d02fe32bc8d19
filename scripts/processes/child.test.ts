import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Child } from "./child.ts";

let dir: string;
let child: Child | null = null;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-child-"));
});
afterEach(async () => {
  await child?.close();
  child = null;
  rmSync(dir, { recursive: true });
});

function run(program: string) {
  const file = join(dir, "program.mjs");
  writeFileSync(file, program);
  const lines: string[] = [];
  const ends: (number | null)[] = [];
  child = new Child({
    file,
    env: { ...process.env, STARTS: join(dir, "starts") },
    onLine: (line) => lines.push(line),
    onEnd: (_, pauseMs) => ends.push(pauseMs),
  });
  return { child, lines, ends };
}

const countStart = 'import { appendFileSync } from "node:fs"; appendFileSync(process.env.STARTS, "x");';

describe("a child", () => {
  test("gives the lines of both its streams", async () => {
    const { lines } = run('console.log("out"); console.error("err"); setInterval(() => {}, 1000);');
    await vi.waitFor(() => expect(lines.toSorted()).toEqual(["err", "out"]), 100_000);
  });

  test("starts again after a pause that doubles", async () => {
    const { ends } = run(`${countStart} process.exit(1);`);
    await vi.waitFor(() => expect(readFileSync(join(dir, "starts"), "utf8")).toBe("xxx"), 100_000);
    await vi.waitFor(() => expect(ends).toEqual([500, 1000, 2000]), 100_000);
  });

  test.each([2, 75])("that ends with %s stays down and tells its code", async (code) => {
    const { child: settings, ends } = run(`process.exit(${code});`);
    expect(await settings.settled).toBe(code);
    expect(ends).toEqual([null]);
  });

  test("is asked to end by SIGTERM and not started again", async () => {
    const {
      child: asked,
      lines,
      ends,
    } = run(
      'process.on("SIGTERM", () => { console.log("bye"); process.exit(0); }); setInterval(() => {}, 1000); console.log("up");',
    );
    await vi.waitFor(() => expect(lines).toContain("up"), 100_000);
    await asked.close();
    expect(lines).toEqual(["up", "bye"]);
    expect(ends).toEqual([]);
  });

  test("is started anew when asked to, at once and once, for that is no end of its own", async () => {
    const { child: changed, ends, lines } = run('console.log("up"); setInterval(() => {}, 1000);');
    await vi.waitFor(() => expect(lines).toEqual(["up"]), 100_000);
    changed.restart();
    changed.restart();
    await vi.waitFor(() => expect(lines).toEqual(["up", "up"]), 100_000);
    await changed.close();
    expect([lines, ends]).toEqual([["up", "up"], []]);
  });

  test("waits no longer for its next start when asked to start anew", async () => {
    const { child: failing, ends } = run(`${countStart} process.exit(1);`);
    await vi.waitFor(() => expect(ends).toEqual([500]), 100_000);
    failing.restart();
    expect(failing.pid).toBeGreaterThan(0);
    await vi.waitFor(() => expect(ends).toEqual([500, 500]), 100_000);
  });

  test("is not started when it was closed in the pause before", async () => {
    const { child: failing, ends } = run("process.exit(1);");
    await vi.waitFor(() => expect(ends).toEqual([500]), 100_000);
    await failing.close();
    expect(failing.pid).toBeNull();
  });

  test("is started again where no descriptor was left for it", () => {
    writeFileSync(join(dir, "program.mjs"), 'console.log("up"); setInterval(() => {}, 1000);');
    const script = `
      import { closeSync, openSync } from "node:fs";
      import { Child } from ${JSON.stringify(import.meta.resolve("./child.ts"))};
      const open = [];
      try { for (;;) open.push(openSync("/dev/null")); } catch {}
      const onEnd = (how, pauseMs) => { open.splice(0).forEach(closeSync); console.log(pauseMs); };
      const onLine = (line) => { console.log(/EMFILE|up/.exec(line)?.[0]); if (line === "up") child.close(); };
      const child = new Child({ file: ${JSON.stringify(join(dir, "program.mjs"))}, env: process.env, onLine, onEnd });
    `;
    const limited = ["-c", 'ulimit -n 100; exec "$0" --input-type=module -e "$1"', process.execPath, script];
    expect(execFileSync("sh", limited, { encoding: "utf8" })).toBe("EMFILE\n500\nup\n");
  });
});
