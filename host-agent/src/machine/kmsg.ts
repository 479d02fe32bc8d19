/**
 * Which process the kernel killed for want of memory: reads /dev/kmsg, where each kill names the container's cgroup and
 * the victim's uid. Both together are one agent's for certain.
 */
import { closeSync, constants, openSync, readSync } from "node:fs";

export interface OomKill {
  /** Sequence number of the kernel's record: grows, and starts anew at boot. */
  sequence: number;
  /** Path of the memory cgroup whose limit was hit; its last part names the container. */
  cgroup: string;
  uid: number;
  pid: number;
}

/** All kills the kernel's buffer still holds with a sequence above `after`, oldest first; [] where it cannot be read. */
export function readOomKillsSince(after: number, device = "/dev/kmsg"): OomKill[] {
  let fd: number;
  try {
    fd = openSync(device, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return [];
  }
  const kills: OomKill[] = [];
  const buffer = Buffer.alloc(16_384);
  try {
    for (;;) {
      const record = readRecord(fd, buffer);
      if (record === null) return kills;
      const kill = parseKill(record);
      if (kill && kill.sequence > after) kills.push(kill);
    }
  } finally {
    closeSync(fd);
  }
}

/** One record, "" for one that was overwritten while reading, null at the end. */
function readRecord(fd: number, buffer: Buffer): string | null {
  try {
    const length = readSync(fd, buffer);
    return length === 0 ? null : buffer.toString("utf8", 0, length);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EPIPE") return "";
    if (code === "EAGAIN") return null;
    throw error;
  }
}

/** A line such as `6,1234,99,-;oom-kill:constraint=CONSTRAINT_MEMCG,…,oom_memcg=/docker/<id>,…,pid=9,uid=20001`. */
export function parseKill(record: string): OomKill | null {
  const match = /^\d+,(\d+),[^;]*;oom-kill:.*?\boom_memcg=([^,]+),.*\bpid=(\d+),uid=(\d+)/.exec(record);
  if (!match) return null;
  return { sequence: Number(match[1]), cgroup: match[2]!, pid: Number(match[3]), uid: Number(match[4]) };
}
