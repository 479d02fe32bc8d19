/** Which processes of Berth run on this machine, and which ports are free for more. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";

/** The pid in a pid file when that process is alive and one of Node's, else null. */
export function pidIn(dir: string, name: string): number | null {
  try {
    const pid = Number(readFileSync(join(dir, name), "utf8"));
    return pid > 0 && readFileSync(`/proc/${pid}/comm`, "utf8").match(/^(node|MainThread)/) ? pid : null;
  } catch {
    return null;
  }
}

/** A TCP port of 127.0.0.1 that was free just now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
