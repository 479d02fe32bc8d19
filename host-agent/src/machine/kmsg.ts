/**
 * Which process the kernel killed for want of memory: reads /dev/kmsg, where each kill names the victim's cgroup, and so its
 * container, and its uid. Both together are one agent's for certain.
 */
import { closeSync, constants, openSync, readSync } from "node:fs";
import { ifCode, isCode } from "./missing.ts";

export interface OomKill {
  /** Sequence number of the kernel's record: grows, and starts anew at boot. */
  sequence: number;
  /** Path of the victim's memory cgroup, whichever limit was hit, the machine's own included; a part of it names the container. */
  cgroup: string;
  uid: number;
}

/**
 * The kernel's log from its oldest record on. Each look answers the kills since the one before, oldest first, and reads no
 * record twice: the whole of it takes 30 ms of the event loop. Answers null where there is no such log for us; one that is not
 * there now may be at the next look.
 */
export function openKillLog(device = "/dev/kmsg") {
  let fd: number | null = null;
  const buffer = Buffer.alloc(16_384);
  /** Read, and not answered yet: no record is read twice, should the next one not be had. */
  const kills: OomKill[] = [];
  return {
    read(): OomKill[] | null {
      const log = (fd ??= open(device));
      if (log === null) return null;
      const next = () => readRecord(log, buffer);
      for (let record = next(); record !== null; record = next()) {
        const kill = parseKill(record);
        if (kill) kills.push(kill);
      }
      return kills.splice(0);
    },
    close(): void {
      if (fd !== null) closeSync(fd);
    },
  };
}

/** Null where there is none, or none for us. */
function open(device: string): number | null {
  try {
    return openSync(device, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return ifCode(null, "ENOENT", "ENXIO", "ENODEV", "EPERM", "EACCES")(error);
  }
}

/** One record, "" for one that was overwritten while reading, null at the end. */
function readRecord(fd: number, buffer: Buffer): string | null {
  try {
    const length = readSync(fd, buffer);
    return length === 0 ? null : buffer.toString("utf8", 0, length);
  } catch (error) {
    if (isCode(error, "EPIPE")) return "";
    return ifCode(null, "EAGAIN")(error);
  }
}

/**
 * A line such as `6,1234,99,-;oom-kill:constraint=CONSTRAINT_MEMCG,…,task_memcg=/docker/<id>,task=node,pid=9,uid=20001`. Of the
 * kernel alone (facility 0, so a level below 8), and by its end: a process may call itself what it likes.
 */
export function parseKill(record: string): OomKill | null {
  const match = /^[0-7],(\d+),[^;]*;oom-kill:.*?,task_memcg=([^,]+),task=.*,pid=\d+,uid=(\d+)$/m.exec(record);
  if (!match) return null;
  return { sequence: Number(match[1]), cgroup: match[2]!, uid: Number(match[3]) };
}
