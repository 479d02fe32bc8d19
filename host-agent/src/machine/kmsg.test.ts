import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { openKillLog, parseKill } from "./kmsg.ts";

const id = "5f49ac9b747e2a6c687a24ccc9ad4c203daa16b9e58a357d2eac145c6f4bf84b";
/** Recorded on kernel 6.18. */
const ofContainer = `6,3612,6290707582,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=${id},mems_allowed=0,oom_memcg=/docker/${id},task_memcg=/docker/${id},task=tail,pid=29124,uid=20310\n`;
/** The same of the whole machine, as the kernel prints it (mm/oom_kill.c, `dump_oom_summary`), with a continuation line. */
const ofMachine = `6,1402,9121177,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/system.slice/docker-${id}.scope,task=node,pid=9311,uid=20002\n SUBSYSTEM=x\n`;

test.each([
  ["its container's limit", ofContainer, { sequence: 3612, cgroup: `/docker/${id}`, uid: 20310 }],
  [
    "the machine's end of memory",
    ofMachine,
    { sequence: 1402, cgroup: `/system.slice/docker-${id}.scope`, uid: 20002 },
  ],
  [
    "a limit above its container",
    ofContainer.replace(`oom_memcg=/docker/${id}`, "oom_memcg=/docker"),
    { sequence: 3612, cgroup: `/docker/${id}`, uid: 20310 },
  ],
  [
    "its container's limit, whatever it calls itself",
    ofContainer.replace("task=tail", "task=a,pid=1,uid=0"),
    { sequence: 3612, cgroup: `/docker/${id}`, uid: 20310 },
  ],
])("a process that was killed by %s is known by its own cgroup and uid", (_what, record, kill) => {
  expect(parseKill(record)).toEqual(kill);
});

test.each([
  ["another line of the kernel", "6,1370,8364050,-;python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0\n"],
  ["what a program wrote into the log", ofContainer.replace(/^6,/, "14,")],
])("%s is no kill", (_what, record) => {
  expect(parseKill(record)).toBeNull();
});

/** As the kernel writes a name: what is no plain character of ASCII is escaped (kernel/printk, `msg_print_ext_body`). */
const comm = fc
  .string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)), maxLength: 15 })
  .map((name) => name.replaceAll("\\", "\\x5c"));

test("a kill is known by its own words alone, whatever the process calls itself and wherever its sequence stands", () => {
  const odd = fc.constantFrom("a,pid=1,uid=0", ",task_memcg=/x,ta", "x;oom-kill:y", "pid=", "uid=1");
  const sequence = fc.oneof(fc.nat(), fc.integer({ min: 2 ** 31 - 4, max: 2 ** 31 + 4 }), fc.constant(2 ** 52));
  fc.assert(
    fc.property(fc.oneof(comm, odd), sequence, fc.nat(), fc.nat(), fc.boolean(), (task, at, pid, uid, goesOn) => {
      const record = ofContainer
        .replace(/^6,\d+/, () => `6,${at}`)
        .replace(/task=tail,pid=\d+,uid=\d+/, () => `task=${task},pid=${pid},uid=${uid}`);
      const continued = goesOn ? `${record} SUBSYSTEM=memory,pid=7,uid=8\n` : record;
      expect(parseKill(continued)).toEqual({ sequence: at, cgroup: `/docker/${id}`, uid });
    }),
    { numRuns: 500 },
  );
});

test("any text is a kill of whole numbers, or none", () => {
  const near = fc
    .tuple(fc.nat({ max: ofContainer.length }), fc.nat({ max: 40 }), fc.string({ unit: "binary", maxLength: 6 }))
    .map(([at, length, text]) => ofContainer.slice(0, at) + text + ofContainer.slice(at + length));
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), near), (record) => {
      const kill = parseKill(record);
      if (kill) expect([kill.sequence, kill.uid].map((one) => Number.isInteger(one) && one >= 0)).not.toContain(false);
    }),
    { numRuns: 2000 },
  );
});

test("each look at the log answers what is new since the one before, and a log that is not there nothing", () => {
  const dir = mkdtempSync(join(tmpdir(), "berth-kmsg-"));
  const device = join(dir, "kmsg");
  writeFileSync(device, ofContainer);
  const log = openKillLog(device);
  expect(log.read()?.map(({ uid }) => uid)).toEqual([20310]);
  expect(log.read()).toEqual([]);
  appendFileSync(device, ofMachine);
  expect(log.read()?.map(({ uid }) => uid)).toEqual([20002]);
  log.close();
  const none = openKillLog(join(dir, "none"));
  expect(none.read()).toBeNull();
  none.close();
  rmSync(dir, { recursive: true });
});

test("a log that cannot be opened now is not one without kills: the next look opens it", () => {
  const dir = mkdtempSync(join(tmpdir(), "berth-kmsg-"));
  const above = join(dir, "above");
  writeFileSync(above, "");
  const log = openKillLog(join(above, "kmsg"));
  expect(() => log.read()).toThrow("ENOTDIR");
  rmSync(above);
  mkdirSync(above);
  writeFileSync(join(above, "kmsg"), ofContainer);
  expect(log.read()?.map(({ uid }) => uid)).toEqual([20310]);
  log.close();
  rmSync(dir, { recursive: true });
});
