/** Backpressure for hosts: how long each gathers its changes before it reports, by how busy this process's event loop is. */
import { performance } from "node:perf_hooks";

const leastMs = 100;
/** A host that has nothing to tell is heard each 5 s otherwise. */
const mostMs = 8000;
const lookMs = 1000;
/** Above the first the pause doubles, below the second it is halved: what lies between is left to users' calls. */
const busy = 0.6;
const idle = 0.4;

/**
 * Answers for how many milliseconds hosts shall gather. Each report costs milliseconds however little it tells, and a thousand
 * hosts with work in progress have something to tell all the time (docs/adr/0033). `utilization` is the part of the time since
 * it was asked last in which the loop was at work, from 0 to 1.
 */
export function createPace(utilization = loopUtilization(), now: () => number = () => performance.now()): () => number {
  let gatherMs = leastMs;
  let lookedAt = now();
  return () => {
    if (now() - lookedAt < lookMs) return gatherMs;
    lookedAt = now();
    const part = utilization();
    if (part > busy) gatherMs = Math.min(mostMs, gatherMs * 2);
    if (part < idle) gatherMs = Math.max(leastMs, gatherMs / 2);
    return gatherMs;
  };
}

function loopUtilization(): () => number {
  let last = performance.eventLoopUtilization();
  return () => {
    const { utilization } = performance.eventLoopUtilization(last);
    last = performance.eventLoopUtilization();
    return utilization;
  };
}
