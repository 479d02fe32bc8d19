/** A process's log on its standard output. */
import type { Writable } from "node:stream";

/** Writes lines: what comes in one turn of the event loop is one system call, and a process that ends by itself loses none. */
export function createLineWriter(out: Writable): (line: string) => void {
  let waiting = "";
  const flush = () => {
    if (waiting) out.write(waiting);
    waiting = "";
  };
  process.once("exit", flush);
  return (line) => {
    if (!waiting) setImmediate(flush);
    waiting += `${line}\n`;
  };
}
