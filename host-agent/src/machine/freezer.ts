/**
 * Freezing a container for the moment of a look (the kernel's freezer, cgroup v1 and v2): in what stands still the list of
 * processes is whole, and who is killed there never forks again. The engine starts nothing in a frozen container, so this is
 * for what a look beside a running one cannot tell.
 */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { messageOf } from "@berth/shared/log";
import { sleep } from "@berth/shared/wait";
import type { Cgroup } from "./cgroup.ts";
import { MachineError } from "./machine-error.ts";
import { isCode, unlessCode } from "./missing.ts";
import { readProc as read } from "./proc.ts";

/** A container that is full of processes at its CPU limit needs some of its turns to stand still. */
const freezeMs = 1000;
/** Whoever waits for a container to go on hears after so long that it does not. */
const thawMs = 5000;

const filesOf = ({ version, freezer }: Cgroup) =>
  version === 1
    ? { control: `${freezer}/freezer.state`, state: `${freezer}/freezer.state`, on: "FROZEN", off: "THAWED" }
    : { control: `${freezer}/cgroup.freeze`, state: `${freezer}/cgroup.events`, on: "1", off: "0" };

/** What `look` answers while nothing in the container moves; null if it did not come to a standstill. One that is gone stands still. */
export async function whileFrozen<T>(cgroup: Cgroup, look: () => T): Promise<T | null> {
  const { control, state, on, off } = filesOf(cgroup);
  // Open before it stands still: a process without descriptors left must be able to let it go on.
  const handle = openControl(control);
  if (handle === null) return look();
  const deadline = performance.now() + freezeMs;
  try {
    // Said again at each look: another end may have let it go on meanwhile.
    for (; performance.now() < deadline; await sleep(1)) {
      writeSync(handle, on);
      if (/^(FROZEN|frozen 1)$/m.test(read(state) ?? "")) return look();
    }
    return null;
  } finally {
    await thaw(handle, off);
  }
}

/** Lets a container go on that an earlier process of this host agent may have left frozen. */
export function letGoOn(cgroup: Cgroup): Promise<void> {
  const { control, off } = filesOf(cgroup);
  const handle = openControl(control);
  return handle === null ? Promise.resolve() : thaw(handle, off);
}

/** Tried until it has worked, for nothing else would ever let the container go on; throws where it has not yet after a while. */
async function thaw(handle: number, off: string): Promise<void> {
  let failure: unknown = null;
  const done = goOn(handle, off, (error) => (failure = error)).finally(() => closeSync(handle));
  const late = new AbortController();
  await Promise.race([done, sleep(thawMs, late.signal)]);
  late.abort();
  if (failure !== null) throw new MachineError(`a container stays frozen: ${messageOf(failure)}`);
}

async function goOn(handle: number, off: string, tell: (failure: unknown) => void): Promise<void> {
  for (;;) {
    try {
      writeSync(handle, off);
      return tell(null);
    } catch (error) {
      if (isCode(error, "ENODEV")) return tell(null);
      tell(error);
      await sleep(10);
    }
  }
}

const openControl = (path: string): number | null =>
  unlessCode(null, () => openSync(path, constants.O_WRONLY), "ENOENT", "ENODEV");
